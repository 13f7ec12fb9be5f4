"""Joining the live stream, with or without a position to resume from.

Points are replayed as they were committed, not conflated; what is sealed already is a gap
`expired`. The
last step is taken under the lock of the hub, so nothing is missed or repeated between the replay
and the live stream. A replay waits for its reader; the live stream never does.
Source: API-133, D-33.
"""

import asyncio

import orjson

from millrace.flow.hot_frame import open_hot
from millrace.ports.ledger import HotBatch
from millrace.ports.live import LiveRows
from millrace.serve.desk import Desk
from millrace.serve.live_hub import (
    EVENTS,
    FRAME_POINTS,
    LiveHub,
    Subscription,
    event_body,
    event_frame,
    hand_out,
)
from millrace.serve.live_outbox import Frame, gap
from millrace.serve.live_points import columns_of, encode

# So few batches may be left for the step under the lock.
LAST_STEP = 2
PAGE = 50
EVENT_PAGE = 500


class Replay:
    """Brings subscriptions from their position to the live stream."""

    def __init__(self, hub: LiveHub, rows: LiveRows, desk: Desk) -> None:
        self._hub = hub
        self._rows = rows
        self._desk = desk

    async def join(self, subscription: Subscription, since: int | None) -> None:
        """Answer `subscribed`, replay what came after `since`, then deliver live."""
        await self._hub.is_ready.wait()
        if subscription.kind == EVENTS:
            await self._join_events(subscription, since)
        else:
            await self._join_points(subscription, since)

    async def _join_points(self, subscription: Subscription, since: int | None) -> None:
        hub = self._hub
        if since is not None:
            subscribed(subscription, since)
            while hub.newest - since > LAST_STEP:
                since = await self._step(subscription, since, PAGE, is_patient=True)
        async with hub.lock:
            await hub.flush()
            if since is None:
                subscribed(subscription, hub.newest)
            else:
                while since < hub.newest:
                    since = await self._step(subscription, since, PAGE, is_patient=False)
            hub.join(subscription)

    async def _step(
        self, subscription: Subscription, since: int, limit: int, *, is_patient: bool
    ) -> int:
        batches = await self._desk.ask("range", self._hub.feed.replay, since, limit)
        batches = [batch for batch in batches if batch.id <= self._hub.newest]
        if not batches or batches[0].id > since + 1:
            stop = batches[0].id - 1 if batches else self._hub.newest
            subscription.outbox.put(gap(subscription.id, str(since), str(stop), 0, "expired"))
            since = stop
        for batch in batches:
            await self._tell(subscription, batch, is_patient=is_patient)
            since = batch.id
        return since

    async def _tell(self, subscription: Subscription, batch: HotBatch, *, is_patient: bool) -> None:
        hub = self._hub
        columns = columns_of(open_hot(batch.frame))
        await hub.learn(columns)
        rows = subscription.wants.rows(columns.series, hub.directory)
        for at in range(0, len(rows), FRAME_POINTS):
            if is_patient:
                await subscription.outbox.wait_for_room()
            chunk = columns.take(rows[at : at + FRAME_POINTS])
            is_last = at + FRAME_POINTS >= len(rows)
            position = str(batch.id if is_last else batch.id - 1)
            body = ",".join(filter(None, encode(chunk, hub.directory)))
            hand_out([subscription], body, position, str(batch.id))
            await asyncio.sleep(0)

    async def _join_events(self, subscription: Subscription, since: int | None) -> None:
        hub = self._hub
        devices = subscription.wants.devices
        subscribed(subscription, hub.newest_event if since is None else since)
        while since is not None and since < hub.newest_event:
            await subscription.outbox.wait_for_room()
            page = await self._desk.ask("range", self._rows.events_after, since, EVENT_PAGE)
            page = [event for event in page if event.id <= hub.newest_event]
            if not page:
                break
            for event in page:
                if not devices or event.device_id in devices:
                    body = orjson.dumps(event_body(event)).decode()
                    subscription.outbox.put(event_frame(subscription, event, body))
            since = page[-1].id
        hub.join(subscription)


def subscribed(subscription: Subscription, position: int) -> None:
    """Queue the answer to `subscribe`."""
    body = {"type": "subscribed", "id": subscription.id, "position": str(position)}
    subscription.outbox.begin(subscription.id, str(position))
    subscription.outbox.put(
        Frame("subscribed", subscription.id, str(position), orjson.dumps(body).decode())
    )
