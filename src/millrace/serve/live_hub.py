"""The hub: follows the ledger by commit id and gives every subscription what it asked for.

Every 20 ms the feed is asked for the newest batches (D-02); at most ten times a second the newest
value of each series that moved is written once and handed to all subscriptions that mean it (D-33).
Subscriptions with the same filter are one set and share their frames. The lock makes joining
atomic: whoever joins has been given everything up to the position at which it joins.
Source: API-131 to API-134.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson
import structlog

from millrace.errors import RetryError
from millrace.flow.hot_frame import open_hot
from millrace.ports.ledger import HotBatch
from millrace.ports.live import LiveRows
from millrace.ports.registry import EventView
from millrace.serve.beat import Beat
from millrace.serve.desk import Desk
from millrace.serve.directory import SeriesDirectory
from millrace.serve.instants import format_instant, position_text
from millrace.serve.live_feed import Feed
from millrace.serve.live_outbox import Frame, Outbox
from millrace.serve.live_points import Columns, Filter, columns_of, conflate, encode
from millrace.serve.problems import Problem

POLL_S = 0.02
TICK_S = 0.1
MAX_BATCHES = 200
MAX_EVENTS = 1000
FRAME_POINTS = 500
BACKOFF_S = 1.0
POINTS = "points"
EVENTS = "events"


@dataclass(slots=True, eq=False)
class Subscription:
    """One subscription of one socket."""

    id: str
    kind: str
    wants: Filter
    outbox: Outbox


@dataclass(slots=True)
class _Set:
    """Subscriptions that mean the same series."""

    wants: Filter
    members: list[Subscription] = field(default_factory=list)


class _Found(NamedTuple):
    """What one poll has found."""

    batches: list[HotBatch]
    columns: list[Columns]
    events: list[EventView]


class LiveHub:
    """Fan-out of what the ledger commits. Belongs to the event loop."""

    def __init__(
        self, feed: Feed, rows: LiveRows, *, desk: Desk, directory: SeriesDirectory
    ) -> None:
        self.directory = directory
        self.feed = feed
        self.lock = asyncio.Lock()
        self.is_ready = asyncio.Event()
        self.newest = 0
        self.newest_event = 0
        self._flushed = 0
        self._rows = rows
        self._desk = desk
        self._sets: dict[tuple[frozenset[str], frozenset[str]], _Set] = {}
        self._event_members: list[Subscription] = []
        self._window: list[Columns] = []

    async def run(self, newest: Callable[[], int], desk: Desk) -> None:
        """Follow the ledger for ever, beginning behind what `newest` says at its desk."""
        await self._begin(newest, desk)
        loop = asyncio.get_running_loop()
        beat = Beat(TICK_S, POLL_S)
        while True:
            try:
                await self._poll()
                # A value that comes after a pause is told at once; the next one waits its turn.
                if self._window and not beat.wait_s(loop.time()):
                    beat.strike(loop.time())
                    async with self.lock:
                        await self.flush()
            except (Problem, RetryError) as error:
                await _back_off(error)
            await asyncio.sleep(min(POLL_S, beat.wait_s(loop.time())) if self._window else POLL_S)

    async def _begin(self, newest: Callable[[], int], desk: Desk) -> None:
        while True:
            try:
                self.newest = await desk.ask("get", newest)
                self.newest_event = await self._desk.ask("get", self._rows.newest_event)
            except (Problem, RetryError) as error:
                await _back_off(error)
            else:
                self._flushed = self.newest
                self.is_ready.set()
                return

    async def _poll(self) -> None:
        """Take in what was committed since the last time."""
        is_heard = bool(self._sets)
        found = await self._desk.ask(
            "range", self._read, self.newest, self.newest_event, is_heard=is_heard
        )
        for part in found.columns:
            await self.learn(part)
        async with self.lock:
            await self._publish(found, is_heard=is_heard)
            for event in found.events:
                self.newest_event = event.id
                self._tell(event)

    def _read(self, after_id: int, after_event: int, *, is_heard: bool) -> _Found:
        batches = self.feed.follow(after_id, MAX_BATCHES)
        columns = [columns_of(open_hot(batch.frame)) for batch in batches] if is_heard else []
        return _Found(batches, columns, self._rows.events_after(after_event, MAX_EVENTS))

    async def _publish(self, found: _Found, *, is_heard: bool) -> None:
        columns = found.columns
        if self._sets and not is_heard:
            # The first subscription came in while these were read.
            columns = [columns_of(open_hot(batch.frame)) for batch in found.batches]
            for part in columns:
                await self.learn(part)
        if found.batches:
            self.newest = found.batches[-1].id
        if self._sets:
            self._window += columns

    async def learn(self, columns: Columns) -> None:
        """Make sure that every series and unit of these readings is known."""
        if len(columns.series):
            await self.directory.follow(int(columns.series.max()))
            await self.directory.learn_units(set(columns.attr.tolist()))

    async def flush(self) -> None:
        """Give all sets what has come since the last time. The lock must be held."""
        if self._window:
            window, self._window = self._window, []
            newest = conflate(window)
            texts: dict[int, str] = {}
            for one in list(self._sets.values()):
                await self._flush_set(one, newest, texts)
        self._flushed = self.newest

    async def _flush_set(self, one: _Set, newest: Columns, texts: dict[int, str]) -> None:
        rows = one.wants.rows(newest.series, self.directory)
        for at in range(0, len(rows), FRAME_POINTS):
            chunk = rows[at : at + FRAME_POINTS]
            numbers = chunk.tolist()
            fresh = chunk[[row not in texts for row in numbers]]
            written = encode(newest.take(fresh), self.directory)
            texts.update(zip(fresh.tolist(), written, strict=True))
            # Only the last frame moves the position: resuming between two frames repeats points
            # rather than losing some.
            is_last = at + FRAME_POINTS >= len(rows)
            position = str(self.newest if is_last else self._flushed)
            body = ",".join(filter(None, map(texts.get, numbers)))
            hand_out(one.members, body, position, str(self.newest))
            await asyncio.sleep(0)

    def join(self, subscription: Subscription) -> None:
        """Begin live delivery behind what was flushed. The lock must be held."""
        if subscription.kind == EVENTS:
            self._event_members.append(subscription)
            return
        wants = subscription.wants
        self._sets.setdefault(wants.key, _Set(wants)).members.append(subscription)

    def leave(self, subscription: Subscription) -> None:
        """End a subscription; one that never joined is no error."""
        subscription.outbox.end(subscription.id)
        if subscription in self._event_members:
            self._event_members.remove(subscription)
        one = self._sets.get(subscription.wants.key)
        if one is not None and subscription in one.members:
            one.members.remove(subscription)
            if not one.members:
                del self._sets[subscription.wants.key]

    def _tell(self, event: EventView) -> None:
        wanted = [
            member
            for member in self._event_members
            if not member.wants.devices or event.device_id in member.wants.devices
        ]
        if wanted:
            body = orjson.dumps(event_body(event)).decode()
            for member in wanted:
                member.outbox.put(event_frame(member, event, body))


def hand_out(members: Sequence[Subscription], body: str, position: str, through: str) -> None:
    """Queue one frame of points for each of these subscriptions; see `Frame.through`."""
    texts: dict[str, str] = {}
    for member in members:
        text = texts.get(member.id)
        if text is None:
            name = orjson.dumps(member.id).decode()
            text = f'{{"type":"points","id":{name},"position":"{position}","points":[{body}]}}'
            texts[member.id] = text
        member.outbox.put(Frame("points", member.id, position, text, through))


def event_body(event: EventView) -> dict[str, object]:
    """Return an event as the API shows it; members of its own come after the fixed ones."""
    fixed = {
        "time": format_instant(event.time_ns),
        "type": event.type,
        "position": position_text(event.position),
        "device_id": event.device_id,
    }
    return {**fixed, **{key: one for key, one in event.data.items() if key not in fixed}}


def event_frame(subscription: Subscription, event: EventView, body: str) -> Frame:
    """Return the frame of one event; `body` is its JSON."""
    name = orjson.dumps(subscription.id).decode()
    text = f'{{"type":"event","id":{name},"position":"{event.id}","event":{body}}}'
    return Frame("event", subscription.id, str(event.id), text)


async def _back_off(error: Exception) -> None:
    structlog.get_logger().warning("live_source_away", error=str(error))
    await asyncio.sleep(BACKOFF_S)
