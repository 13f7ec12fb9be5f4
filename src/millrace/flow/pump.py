"""The pump: the one loop in which positions move.

It reads what the log has, has it processed, commits effects and positions together, and goes on. A
crash at any point loses nothing and repeats nothing, because nothing is remembered outside the
commit. An outage is waited for; it never turns a message into a dead letter. What the ledger
refuses for its contents is halved until the message is found that becomes the dead letter.
Source: architecture.md 2 and 4, D-10, D-13, D-25, D-43; P7.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from millrace.errors import (
    FencedError,
    RejectError,
    RetryError,
    StaleError,
    StopError,
    UnsureError,
)
from millrace.flow.backoff import Backoff
from millrace.flow.crashpoints import crashpoint
from millrace.flow.hot_frame import read_hot
from millrace.model.device import DeviceProfile
from millrace.model.message import RawBatch
from millrace.model.series import SeriesKey
from millrace.model.work import Committed, Effects, LatestPage, Readings, SequenceRow
from millrace.ports.clock import Clock
from millrace.ports.fleet import Fleet
from millrace.ports.ledger import HotBatch, Ledger
from millrace.ports.log import LogReader

Wanted = dict[tuple[str, str], list[str]]

SECOND_NS = 1_000_000_000


class Middle(Protocol):
    """What the pump drives; see `millrace.middle`."""

    def missing(self, batches: Sequence[RawBatch]) -> Wanted: ...

    def learn(
        self,
        wanted: Wanted,
        profiles: Mapping[tuple[str, str], DeviceProfile],
        series: Iterable[tuple[SeriesKey, int]],
    ) -> None: ...

    def forget(self, device_ids: Iterable[str] | None) -> None: ...

    def process(
        self,
        batches: list[RawBatch],
        *,
        registry_version: int,
        now_ns: int,
        reader: str,
        stream: str,
    ) -> Effects: ...

    def refuse(self, partition: int, offset: int, error: RejectError) -> None: ...

    def accept(self, effects: Effects, committed: Committed) -> None: ...

    def restore(
        self,
        positions: Mapping[int, int],
        sequence: Sequence[SequenceRow],
        latest: tuple[int, Sequence[LatestPage]],
        committed_since: Iterable[tuple[int, Readings]],
        *,
        paces: Mapping[int, int],
    ) -> None: ...

    def warm_up(self, batches: list[RawBatch], *, sequenced_from: Mapping[int, int]) -> None: ...

    def owes(self, now_ns: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class PumpLimits:
    """When a commit is due, and how much one may hold (D-10).

    `redelivery_s` is how far back the messages go that a start reads again for the redelivery rule.
    """

    commit_messages: int = 2_000
    commit_after_s: float = 0.1
    max_messages: int = 8_000
    poll_s: float = 0.01
    redelivery_s: int = 10


class Pump:
    """Moves one stream's messages from the log into the ledger.

    `observed` is called after each commit with the effects and the steady seconds it took.
    """

    def __init__(  # noqa: PLR0913 - four ports, a clock and the pure middle meet here
        self,
        *,
        log: LogReader,
        ledger: Ledger,
        fleet: Fleet,
        middle: Middle,
        clock: Clock,
        reader: str = "process",
        stream: str = "raw_iot_data",
        limits: PumpLimits | None = None,
        observed: Callable[[Effects, float], None] | None = None,
    ) -> None:
        self._log = log
        self._ledger = ledger
        self._fleet = fleet
        self._middle = middle
        self._clock = clock
        self._reader = reader
        self._stream = stream
        self._limits = limits or PumpLimits()
        self._observed = observed
        self._version = 0
        self._waiting_since: float | None = None
        self._refused: tuple[int, int] | None = None
        self._in_hand: list[RawBatch] = []
        self._unsure: Effects | None = None
        self.positions: dict[int, int] = {}

    def start(
        self,
        latest: tuple[int, Sequence[LatestPage]] = (0, ()),
        committed_since: Iterable[HotBatch] = (),
        *,
        partitions: Sequence[int] | None = None,
    ) -> None:
        """Take the positions over and rebuild the state from snapshot, hot batches and log.

        `committed_since` are the hot batches that the pages of `latest` do not cover, `partitions`
        those to pump: all without it.
        """
        ours = range(self._log.partitions) if partitions is None else partitions
        claim = self._ledger.claim(self._reader, self._stream, ours)
        self.positions = dict(claim.positions)
        self._version = self._fleet.version()
        done, rows = self._ledger.snapshot(self._reader)
        since = ((batch.id, read_hot(batch.frame)) for batch in committed_since)
        self._middle.restore(self.positions, rows, latest, since, paces=claim.paces)
        self._warm_up(done)

    def run(self, stop: Event, is_ours: Callable[[], bool] = lambda: True) -> None:
        """Pump until `stop` is set, or until `is_ours`, asked between commits, says no."""
        backoff = Backoff()
        while not stop.is_set() and is_ours():
            try:
                moved = self.run_once()
            except RetryError as error:
                stop.wait(backoff.failed(error))
            else:
                backoff.succeeded()
                if not moved:
                    stop.wait(self._limits.poll_s)

    def run_once(self) -> int:
        """Move what is due; return the number of messages.

        Raises:
            RetryError: Something outside is away; calling again goes on where this call stopped.
            StopError: A position is no longer ours, or stored bytes are damaged.
        """
        if not self._in_hand:
            self._in_hand = self._due()
        if not self._in_hand and self._middle.owes(self._clock.now_ns()):
            self._settle([])
        return self._move()

    def drain(self) -> int:
        """Move everything that the log holds by now, due or not; return the number of messages."""
        total = 0
        self._in_hand = self._in_hand or self._read()
        while moved := self._move():
            total += moved
            self._in_hand = self._read()
        return total

    def _move(self) -> int:
        count = sum(map(len, self._in_hand))
        while self._in_hand:
            self._settle(self._in_hand)
        return count

    def _settle(self, batches: list[RawBatch]) -> None:
        """Commit messages; in parts, if the ledger refuses them together."""
        parts = [batches]
        while parts:
            part = parts.pop()
            started = self._clock.steady_s()
            try:
                effects, committed = self._commit(part)
            except RejectError as error:
                parts += self._instead_of(part, error)
            else:
                self._take(effects, committed)
                if part and self._observed is not None:
                    self._observed(effects, self._clock.steady_s() - started)

    def _instead_of(self, part: list[RawBatch], error: RejectError) -> list[list[RawBatch]]:
        """Return what to commit in place of a refused part, in reverse order."""
        if sum(map(len, part)) > 1:
            return halves(part)[::-1]
        place = (part[0].partition, part[0].first_offset) if part else None
        if place is None or place == self._refused:
            raise StopError(
                f"the ledger refuses a message, and its dead letter as well: {error}",
                "check the database; nothing was lost, the log keeps the messages",
            ) from error
        self._refused = place
        self._middle.refuse(*place, error)
        return [part]

    def _take(self, effects: Effects, committed: Committed) -> None:
        self._middle.accept(effects, committed)
        self._version = committed.registry_version
        for advance in effects.advances:
            self.positions[advance.partition] = advance.next_offset
        rest = (batch.since(self.positions[batch.partition]) for batch in self._in_hand)
        self._in_hand = [batch for batch in rest if len(batch)]

    def _commit(self, batches: list[RawBatch]) -> tuple[Effects, Committed]:
        while True:
            effects = self._unsure or self._process(batches)
            crashpoint("pump_before_commit")
            try:
                committed = self._ledger.commit(effects)
            except StaleError:
                self._unsure = None
            except UnsureError:
                # Only these effects fit what may have been committed: the same are handed in again
                # until the ledger has answered, however often it is away in between.
                # What is owed without messages may be written twice.
                self._unsure = effects if batches else None
                raise
            except (RejectError, FencedError):
                self._unsure = None
                raise
            else:
                self._unsure = None
                return effects, committed

    def _process(self, batches: list[RawBatch]) -> Effects:
        self._refresh()
        self._route(batches)
        return self._middle.process(
            batches,
            registry_version=self._version,
            now_ns=self._clock.now_ns(),
            reader=self._reader,
            stream=self._stream,
        )

    def _due(self) -> list[RawBatch]:
        extents = self._log.extents()
        pending = sum(extents[p].end - offset for p, offset in self.positions.items())
        if not pending:
            self._waiting_since = None
            return []
        now = self._clock.steady_s()
        if self._waiting_since is None:
            self._waiting_since = now
        if (
            pending < self._limits.commit_messages
            and now - self._waiting_since < self._limits.commit_after_s
        ):
            return []
        # What comes while this is carried has waited since now at the longest.
        self._waiting_since = now
        return self._read()

    def _read(self) -> list[RawBatch]:
        share = max(1, self._limits.max_messages // len(self.positions))
        found = (self._log.read(p, offset, share) for p, offset in self.positions.items())
        return [batch for batch in found if batch is not None]

    def _refresh(self) -> None:
        version = self._fleet.version()
        if version != self._version:
            changes = self._fleet.changes(self._version)
            self._middle.forget(changes.devices)
            self._version = changes.version

    def _route(self, batches: list[RawBatch]) -> None:
        wanted = self._middle.missing(batches)
        if wanted:
            profiles = self._fleet.profiles(list(wanted))
            devices = {device for _, device in wanted} | {
                attached.device_id
                for profile in profiles.values()
                for attached in profile.pins.values()
            }
            self._middle.learn(wanted, profiles, self._ledger.series(sorted(devices)))

    def _warm_up(self, done: Mapping[int, int]) -> None:
        """Feed the state with what was committed since the snapshot, or in the last seconds."""
        for partition, end in self.positions.items():
            unread = self._log.read(partition, end, 1)
            now_ns = unread.received_at_ns[0] if unread else self._clock.now_ns()
            since_ns = now_ns - self._limits.redelivery_s * SECOND_NS
            offset = min(done.get(partition, 0), self._log.offset_at(partition, since_ns), end)
            offset = max(offset, self._log.extents()[partition].start)
            while offset < end:
                batch = self._log.read(partition, offset, min(8_000, end - offset))
                if batch is None:
                    break
                batch = batch.upto(end)
                self._route([batch])
                self._middle.warm_up([batch], sequenced_from={partition: done.get(partition, 0)})
                offset = batch.next_offset


def halves(batches: Sequence[RawBatch]) -> list[list[RawBatch]]:
    """Return two halves of messages, by number; order within a partition is kept."""
    left = sum(map(len, batches)) // 2
    first, second = [], []
    for batch in batches:
        middle = batch.first_offset + min(left, len(batch))
        left -= middle - batch.first_offset
        first.append(batch.upto(middle))
        second.append(batch.since(middle))
    return [[b for b in half if len(b)] for half in (first, second)]
