"""Raw messages of the log become objects, one segment of a partition after the other.

A segment ends where the receive time enters another stretch of `roll_s` or another day, or behind
`segment_bytes`; never between two messages of one microsecond. Where it ends, and all keys and
bytes, follow from the log. Only the end of a partition that has fallen silent is decided by the
clock, and so every segment is remembered as an intent before its first object is written; what a
crash interrupts is written again, the same.
Source: MTR-130 to MTR-135; D-28; F3, F31.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from millrace.errors import GoneError, NotFoundError, RejectError, StopError
from millrace.flow.archive.layouts import LAYOUTS, Written
from millrace.flow.archive.manifest import encode, list_objects, manifest_key
from millrace.flow.archive.message import ArchivedMessage, numbered
from millrace.flow.crashpoints import crashpoint
from millrace.model.message import NOT_FROM_DEVICE, QOS_MASK, RETAIN, RawBatch
from millrace.ports.archive import Archive, ArchivePositions, Intent, Outcomes
from millrace.ports.log import LogReader

_READ = 5_000
_DAY_NS = 86_400_000_000_000
# How long after the end of a stretch a silent partition is waited for.
_SILENCE_NS = 60_000_000_000

# Returns (device_id, category) of a topic; None or RejectError when no family takes it.
AddressOf = Callable[[str], tuple[str, str] | None]


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """How messages are arranged. Units: bytes before compression, seconds."""

    layout: str = "device"
    roll_bytes: int = 8 << 20
    roll_s: int = 3600
    segment_bytes: int = 8 << 20


@dataclass(slots=True)
class ArchiveCounts:
    """What was completed since the start (MON-139, MON-140)."""

    objects: int = 0
    size_bytes: int = 0
    messages: int = 0


@dataclass(slots=True)
class _Open:
    """The segment that is being looked at: it begins at `first` and reaches up to `next`.

    `high_ns` is the newest receive time so far; a clock that is set back does not move it.
    """

    first: int
    next: int
    high_ns: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ArchiveSources:
    """What the archiver reads and where it keeps its place.

    `is_pressed` says that the processor is wanted elsewhere: after one segment more it stops.
    `completed` is told the number and the bytes of the objects of each segment.
    """

    log: LogReader
    positions: ArchivePositions
    outcomes: Outcomes
    address_of: AddressOf
    breathe: Callable[[], None] = lambda: None
    is_pressed: Callable[[], bool] = lambda: False
    completed: Callable[[int, int], None] = lambda _objects, _size_bytes: None


class Archiver:
    """The reader `archive` of the log."""

    def __init__(
        self, sources: ArchiveSources, archive: Archive, options: ArchiveOptions | None = None
    ) -> None:
        self._log = sources.log
        self._positions = sources.positions
        self._outcomes = sources.outcomes
        self._address_of = sources.address_of
        self._breathe = sources.breathe
        self._completed = sources.completed
        self._is_pressed = sources.is_pressed
        self._archive = archive
        self._options = options or ArchiveOptions()
        self._layout = LAYOUTS[self._options.layout]
        self._open: dict[int, _Open] = {}
        # Newest receive time that is archived, per partition: an earlier one may meet a taken name.
        self._archived_ns: dict[int, int] = {}
        self.counts = ArchiveCounts()

    def hold_log(self) -> None:
        """Take up every partition, so that the log removes nothing that is not archived.

        Raises:
            RetryError: Log or ledger are away; call again.
        """
        for partition, extent in enumerate(self._log.extents()):
            self._positions.take_up(partition, extent.start)

    def run_once(self, now_ns: int, *, flush: bool = False) -> int:
        """Archive the segments that are complete, all there is when `flush`; return how many.

        Raises:
            RetryError: Log, ledger or archive are away; call again.
            StopError: Messages were removed from the log before they were archived.
        """
        done = 0
        for partition in range(self._log.partitions):
            while (intent := self._next_intent(partition, now_ns, flush=flush)) is not None:
                crashpoint("archive_after_intent")
                self._write(intent)
                crashpoint("archive_before_position")
                self._positions.finish(intent)
                self._open.pop(partition, None)
                done += 1
                if self._is_pressed() and not flush:
                    return done
        return done

    def _next_intent(self, partition: int, now_ns: int, *, flush: bool) -> Intent | None:
        begun = self._positions.intent(partition)
        if begun is not None:
            return begun
        segment = self._open.get(partition) or self._begin(partition)
        self._open[partition] = segment
        is_complete = self._scan(partition, segment)
        if not is_complete and segment.next > segment.first:
            is_complete = flush or self._is_silent(partition, segment, now_ns)
        if not is_complete:
            return None
        last = segment.next - 1
        intent = Intent(
            partition, segment.first, last, manifest_key(partition, segment.first, last)
        )
        self._positions.begin(intent)
        return intent

    def _begin(self, partition: int) -> _Open:
        start = self._log.extents()[partition].start
        position = self._positions.take_up(partition, start)
        if position < start:
            raise StopError(
                f"messages {partition}-{position} to {partition}-{start - 1} were removed from the "
                "log before they were archived",
                "raise log.retention_s, or move the position of the archive",
            )
        return _Open(position, position)

    def _scan(self, partition: int, segment: _Open) -> bool:
        """Extend a segment by what has arrived; return whether its end has been found."""
        decided = self._outcomes.decided(partition)
        while segment.next < decided:
            batch = self._log.read(partition, segment.next, _READ)
            if batch is None:
                return False
            count = min(len(batch), decided - segment.next)
            self._breathe()
            if self._takes_whole(segment, batch, count):
                continue
            for place in range(count):
                if self._ends_before(segment, batch.received_at_ns[place]):
                    return True
                segment.next += 1
                segment.size_bytes += len(batch.payloads[place])
                segment.high_ns = max(segment.high_ns, batch.received_at_ns[place])
        return False

    def _takes_whole(self, segment: _Open, batch: RawBatch, count: int) -> bool:
        """Extend a segment by messages none of which can be its end; return whether it did."""
        size_bytes = segment.size_bytes + sum(map(len, batch.payloads[:count]))
        high_ns = max(batch.received_at_ns[:count])
        begun_ns = segment.high_ns or batch.received_at_ns[0]
        if size_bytes >= self._options.segment_bytes or high_ns >= self._stretch_end_ns(begun_ns):
            return False
        segment.next += count
        segment.size_bytes = size_bytes
        segment.high_ns = max(segment.high_ns, high_ns)
        return True

    def _ends_before(self, segment: _Open, received_at_ns: int) -> bool:
        if segment.next == segment.first or received_at_ns // 1000 <= segment.high_ns // 1000:
            return False
        if segment.size_bytes >= self._options.segment_bytes:
            return True
        return received_at_ns >= self._stretch_end_ns(segment.high_ns)

    def _stretch_end_ns(self, time_ns: int) -> int:
        roll_ns = self._options.roll_s * 1_000_000_000
        midnight = time_ns - time_ns % _DAY_NS
        since = time_ns - midnight
        return midnight + min(since - since % roll_ns + roll_ns, _DAY_NS)

    def _is_silent(self, partition: int, segment: _Open, now_ns: int) -> bool:
        if now_ns < self._stretch_end_ns(segment.high_ns) + _SILENCE_NS:
            return False
        return self._log.extents()[partition].end == segment.next

    def _write(self, intent: Intent) -> None:
        messages = numbered(self._stored(intent))
        written: list[Written] = []
        taken: set[str] = set()
        for one in self._layout.pack(messages, self._options.roll_bytes):
            placed = self._place(intent.partition, one, taken)
            taken.add(placed.key)
            self._archive.put(placed.key, placed.body)
            written.append(placed)
            self._breathe()
            crashpoint("archive_after_object")
        bounds = (intent.partition, intent.first, intent.last)
        self._archive.put(intent.key, encode(list_objects(bounds, self._layout.name, written)))
        newest = max((one.received_at_ns for one in messages), default=0)
        known = self._archived_ns.get(intent.partition, 0)
        self._archived_ns[intent.partition] = max(known, newest)
        size_bytes = sum(len(one.body) for one in written)
        self.counts.objects += len(written)
        self.counts.size_bytes += size_bytes
        self._completed(len(written), size_bytes)
        self.counts.messages += len(messages)

    def _place(self, partition: int, one: Written, taken: set[str]) -> Written:
        """Return an object under a name that no other object has.

        A name can only be taken when the clock of the machine was set back; then, and at the first
        segment after a start, the archive is asked.
        """
        known = self._archived_ns.get(partition)
        is_doubtful = known is None or any(m.received_at_ns <= known for m in one.messages)
        key, number = one.key, 0
        while key in taken or (is_doubtful and self._is_other(key, one.body)):
            number += 1
            key = self._layout.renamed(one.key, number)
        return one if not number else Written(key, one.body, one.messages)

    def _is_other(self, key: str, body: bytes) -> bool:
        try:
            return self._archive.get(key) != body
        except NotFoundError:
            return False

    def _stored(self, intent: Intent) -> Iterator[ArchivedMessage]:
        left_out = self._outcomes.not_stored(intent.partition, intent.first, intent.last)
        addresses: dict[str, tuple[str, str] | None] = {}
        for batch, places in self._batches(intent):
            for place in places:
                topic, offset = batch.topics[place], batch.first_offset + place
                if offset in left_out or batch.flags[place] & NOT_FROM_DEVICE:
                    continue
                if topic not in addresses:
                    addresses[topic] = self._address(topic)
                address = addresses[topic]
                if address is not None:
                    yield _archived(address, batch, place)

    def _batches(self, intent: Intent) -> Iterator[tuple[RawBatch, Sequence[int]]]:
        offset = intent.first
        while offset <= intent.last:
            try:
                batch = self._log.read(intent.partition, offset, _READ)
            except GoneError as error:
                raise StopError(
                    f"message {intent.partition}-{offset} was removed before it was archived",
                    "raise log.retention_s",
                ) from error
            if batch is None:
                raise StopError(f"the log has lost message {intent.partition}-{offset}")
            count = min(len(batch), intent.last + 1 - offset)
            yield batch, range(count)
            self._breathe()
            offset += count

    def _address(self, topic: str) -> tuple[str, str] | None:
        try:
            return self._address_of(topic)
        except RejectError:
            return None


def _archived(address: tuple[str, str], batch: RawBatch, place: int) -> ArchivedMessage:
    flags = batch.flags[place]
    return ArchivedMessage(
        address[0],
        address[1],
        batch.received_at_ns[place],
        batch.topics[place],
        flags & QOS_MASK,
        bool(flags & RETAIN),
        batch.partition,
        batch.first_offset + place,
        batch.payloads[place],
    )
