"""The pure middle: decode, analyze and record as one function over batches, with its state.

Nothing here reads a clock or talks to anything. Whoever drives it looks up the devices it asks
for, commits the effects it returns, and tells it what the commit gave; the same log gives the same
effects, however it was cut into batches.
Source: architecture.md 2, D-21, D-25, D-26.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from millrace.decode.redelivery import RedeliveryMemory
from millrace.decode.registration import Registration
from millrace.decode.router import Key, Router
from millrace.decode.sequence import SequenceTracker
from millrace.decode.step import decode
from millrace.decode.verdicts import Verdicts, apply, judge, refuse
from millrace.errors import RejectError
from millrace.model.device import DeviceProfile
from millrace.model.message import RawBatch
from millrace.model.series import SeriesBook, SeriesKey
from millrace.model.work import (
    Advance,
    Committed,
    DeviceTouch,
    Effects,
    LatestPage,
    LatestPages,
    Readings,
    SequenceRow,
    SequenceShown,
    Snapshot,
    Work,
    gather,
)
from millrace.record.latest import LatestTable
from millrace.record.signs import DeviceSigns
from millrace.record.step import name, record

PROJECTION_NS = 2_000_000_000
LATEST_NS = 10_000_000_000
SNAPSHOT_NS = 60_000_000_000
SNAPSHOT_MESSAGES = 500_000


@dataclass(slots=True)
class Extras:
    """Projections that ride on one commit; kept until that commit has succeeded."""

    touches: dict[str, DeviceTouch] = field(default_factory=dict)
    sequences: list[SequenceShown] = field(default_factory=list)
    latest: LatestPages | None = None
    snapshot: Snapshot | None = None

    def __bool__(self) -> bool:
        is_due = self.latest is not None or self.snapshot is not None
        return is_due or bool(self.touches or self.sequences)

    def attach(self, effects: Effects) -> None:
        """Put the projections into effects."""
        effects.touches = self.touches
        effects.sequences = self.sequences
        effects.latest = self.latest
        effects.snapshot = self.snapshot


class Middle:
    """One stream's decoding state: routes, series, sequence windows, latest values."""

    def __init__(
        self,
        router: Router,
        book: SeriesBook,
        tracker: SequenceTracker,
        redelivery: RedeliveryMemory,
        registration: Registration | None = None,
    ) -> None:
        self._router = router
        self._book = book
        self._tracker = tracker
        self._redelivery = redelivery
        self._registration = registration or Registration()
        self._latest = LatestTable()
        self._signs = DeviceSigns()
        self._verdicts: Verdicts | None = None
        self._undecided = 0
        self._refused: dict[tuple[int, int], RejectError] = {}
        self._extras: Extras | None = None
        self._positions: dict[int, int] = {}
        self._slots: list[int] = []
        self._last_commit = 0
        self._is_uncovered = False
        self._messages_since_snapshot = 0
        self._projected_at = self._latest_at = self._snapshot_at = 0

    def missing(self, batches: Sequence[RawBatch]) -> dict[Key, list[str]]:
        """Return the topics that need a registry look-up first, by the key of their device."""
        routes = self._router.routes
        if all(topic in routes for batch in batches for topic in batch.topics):
            return {}
        return self._router.missing({topic for batch in batches for topic in batch.topics})

    def learn(
        self,
        wanted: Mapping[Key, list[str]],
        profiles: Mapping[Key, DeviceProfile],
        series: Iterable[tuple[SeriesKey, int]],
    ) -> None:
        """Compile routes for what was `missing`, with the series that the devices already have."""
        self._book.learn_series(series)
        self._router.learn(wanted, profiles)

    def forget(self, device_ids: Iterable[str] | None) -> None:
        """Drop the routes of devices whose registry rows changed; None means all."""
        self._router.forget(device_ids)

    def process(
        self,
        batches: list[RawBatch],
        *,
        registry_version: int,
        now_ns: int,
        reader: str,
        stream: str,
    ) -> Effects:
        """Return the effects of batches whose topics are all routed.

        Until all of them are accepted, it may only be called again with the same batches or parts
        of them (the registry moved, the ledger was away or has refused something): they are decoded
        again, but not judged again. Without batches the effects are what is owed: see `owes`.
        """
        work = decode(gather(batches, registry_version), self._router)
        is_first_call = bool(batches) and self._verdicts is None
        if is_first_call:
            memories = self._tracker, self._redelivery, self._registration
            self._verdicts = judge(work, *memories)
            self._undecided = len(work)
        verdicts = self._verdicts or Verdicts()
        apply(work, verdicts.of(work))
        if self._refused:
            refuse(work, self._refused_in(work))
        effects = record(work, self._book, reader=reader, stream=stream, now_ns=now_ns)
        has_new = effects.new_series or effects.new_attributes
        self._slots = np.unique(work.readings.slot).tolist() if has_new else []
        if is_first_call:
            self._signs.note(work)
        if self._extras is None:
            self._extras = self._due(effects, now_ns)
        if len(work) == verdicts.count:
            # A part of what was judged cannot carry state that has seen all of it.
            self._extras.attach(effects)
            if self._extras:
                effects.advances += self._standing(effects)
        return effects

    def refuse(self, partition: int, offset: int, error: RejectError) -> None:
        """Make a dead letter of a message that was judged: nothing else of it can be stored."""
        self._refused[partition, offset] = error

    def accept(self, effects: Effects, committed: Committed) -> None:
        """Take in what the ledger answered to these effects."""
        name(effects, committed, self._book, self._slots)
        self._latest.update(effects.readings)
        self._last_commit = committed.commit_id
        self._undecided -= sum(a.next_offset - a.expected for a in effects.advances)
        if self._undecided <= 0:
            self._verdicts = None
            self._refused.clear()
        if self._extras is not None and self._extras.touches is effects.touches:
            self._extras = None
        self._router.forget([row.device_id for row in effects.discovered])
        for advance in effects.advances:
            self._positions[advance.partition] = advance.next_offset
            self._is_uncovered |= advance.next_offset > advance.expected
            self._messages_since_snapshot += advance.next_offset - advance.expected

    def restore(
        self,
        positions: Mapping[int, int],
        sequence: Sequence[SequenceRow],
        latest: tuple[int, Sequence[LatestPage]],
        committed_since: Iterable[tuple[int, Readings]] = (),
        *,
        paces: Mapping[int, int] | None = None,
    ) -> None:
        """Start from stored state; `positions` are where the next messages come from.

        `committed_since` are the commits that the latest values do not have yet, by id; `paces`
        those of `decode.registration`.
        """
        self._positions = dict(positions)
        # Who had the partitions before may not have written latest values up to here.
        self._is_uncovered = any(positions.values())
        self._registration.restore(paces or {})
        self._tracker.restore(sequence)
        self._last_commit = latest[0]
        self._latest.load(latest[1])
        for commit_id, readings in committed_since:
            self._latest.update(readings)
            self._last_commit = commit_id

    def owes(self, now_ns: int) -> bool:
        """Say whether something waits to be written although no message comes any more."""
        return (
            self._extras is not None
            or (bool(self._signs) and now_ns - self._projected_at >= PROJECTION_NS)
            or (self._is_uncovered and now_ns - self._latest_at >= LATEST_NS)
            or (self._messages_since_snapshot > 0 and now_ns - self._snapshot_at >= SNAPSHOT_NS)
        )

    def warm_up(self, batches: list[RawBatch], *, sequenced_from: Mapping[int, int]) -> None:
        """Bring the state up to date with messages that are committed already.

        Messages before `sequenced_from` of their partition only refresh the redelivery memory.
        """
        work = decode(gather(batches, 0), self._router)
        old = {
            message
            for batch, base in zip(work.batches, work.bases, strict=True)
            for message in range(
                base, base + min(len(batch), sequenced_from[batch.partition] - batch.first_offset)
            )
        }
        self._signs.note(work)
        work.decoded.facts = [fact for fact in work.decoded.facts if fact.message not in old]
        judge(work, self._tracker, self._redelivery)

    def _refused_in(self, work: Work) -> dict[int, RejectError]:
        return {
            base + offset - batch.first_offset: error
            for batch, base in zip(work.batches, work.bases, strict=True)
            for (partition, offset), error in self._refused.items()
            if partition == batch.partition and batch.first_offset <= offset < batch.next_offset
        }

    def _standing(self, effects: Effects) -> list[Advance]:
        """Return moves to where they are for the partitions without a message in these effects.

        Projections say something of all partitions, so who has lost one may not write them (P5).
        """
        moving = {advance.partition for advance in effects.advances}
        return [Advance(p, at, at) for p, at in self._positions.items() if p not in moving]

    def _due(self, effects: Effects, now_ns: int) -> Extras:
        """Return what is written less often than every commit, as far as it is due (D-21)."""
        extras = Extras()
        if now_ns - self._projected_at >= PROJECTION_NS:
            extras.touches = self._signs.take()
            extras.sequences = self._tracker.moved()
            self._projected_at = now_ns
        if now_ns - self._latest_at >= LATEST_NS:
            extras.latest = LatestPages(
                self._last_commit, self._latest.dirty_pages(), dict(self._positions)
            )
            self._latest_at = now_ns
            self._is_uncovered = False
        if (
            now_ns - self._snapshot_at >= SNAPSHOT_NS
            or self._messages_since_snapshot >= SNAPSHOT_MESSAGES
        ):
            moved = {a.partition: a.next_offset for a in effects.advances}
            extras.snapshot = Snapshot({**self._positions, **moved}, self._tracker.dirty())
            self._snapshot_at, self._messages_since_snapshot = now_ns, 0
        return extras
