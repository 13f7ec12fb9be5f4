"""Decoding for consumers of others: the codecs, and what they say on the public stream.

It is driven by a pump like the middle, under a reader of its own, so positions, fences and shares
are the same. Records are confirmed before the position moves: after a crash some come twice, none
is missing.
Source: D-26, F2-121.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from millrace.decode.router import Key, Router
from millrace.decode.step import decode
from millrace.errors import RejectError
from millrace.model.device import DeviceProfile
from millrace.model.message import RawBatch
from millrace.model.series import SeriesBook, SeriesKey
from millrace.model.work import (
    Advance,
    Committed,
    Effects,
    LatestPage,
    Readings,
    SequenceRow,
    Snapshot,
    Work,
    gather,
)
from millrace.ports.public_stream import (
    DEAD_LETTERS,
    DECODED,
    EVENTS,
    PublicRecord,
    PublicStream,
)
from millrace.record.public import Recorder


class Publisher:
    """What a pump drives to publish; see `flow.pump.Middle`. It keeps no state of devices."""

    def __init__(
        self, router: Router, book: SeriesBook, recorder: Recorder, stream: PublicStream
    ) -> None:
        self._router = router
        self._book = book
        self._recorder = recorder
        self._stream = stream

    def missing(self, batches: Sequence[RawBatch]) -> dict[Key, list[str]]:
        """Return the topics that need a registry look-up first."""
        return self._router.missing({topic for batch in batches for topic in batch.topics})

    def learn(
        self,
        wanted: Mapping[Key, list[str]],
        profiles: Mapping[Key, DeviceProfile],
        series: Iterable[tuple[SeriesKey, int]],
    ) -> None:
        """Compile routes for what was `missing`."""
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
        """Publish what the batches say; return effects that move the positions and no more.

        Raises:
            RetryError: The records are not confirmed.
        """
        work = decode(gather(batches, registry_version), self._router)
        self._stream.publish([*self._records(work)])
        long = np.zeros(0, np.int64)
        none = Readings(long, long, long, np.zeros(0), np.zeros(0, np.int16), long, long)
        advances = [Advance(b.partition, b.first_offset, b.next_offset) for b in batches]
        effects = Effects(reader, stream, advances, registry_version, now_ns, none)
        # There is no state: a start has nothing to read again. Partitions that stand say nothing,
        # as they may be somebody else's by now.
        effects.snapshot = Snapshot({move.partition: move.next_offset for move in advances})
        return effects

    def refuse(self, partition: int, offset: int, error: RejectError) -> None:
        """Do nothing: only positions go to the ledger, and no message can spoil them."""

    def accept(self, effects: Effects, committed: Committed) -> None:
        """Do nothing: positions are the pump's to keep."""

    def restore(
        self,
        positions: Mapping[int, int],
        sequence: Sequence[SequenceRow],
        latest: tuple[int, Sequence[LatestPage]],
        committed_since: Iterable[tuple[int, Readings]] = (),
        *,
        paces: Mapping[int, int] | None = None,
    ) -> None:
        """Do nothing: positions are the pump's to keep."""

    def warm_up(self, batches: list[RawBatch], *, sequenced_from: Mapping[int, int]) -> None:
        """Do nothing: there is no state to bring up to date."""

    def owes(self, now_ns: int) -> bool:
        """Say that nothing waits to be written."""
        return False

    def _records(self, work: Work) -> Iterator[PublicRecord]:
        routes = self._router.routes
        for message, body in self._recorder.decoded(work, lambda topic: routes[topic].plan):
            yield self._public(DECODED, work, message, body)
        for event in work.decoded.events:
            yield self._public(EVENTS, work, event.message, self._recorder.event(work, event))
        for letter in work.decoded.dead_letters:
            body = self._recorder.letter(work, letter)
            yield self._public(DEAD_LETTERS, work, letter.message, body)

    def _public(self, stream: str, work: Work, message: int, body: bytes) -> PublicRecord:
        batch, i = work.locate(message)
        device_id = work.device_ids[message]
        return PublicRecord(stream, batch.partition, device_id, body, batch.received_at_ns[i])
