"""The log in memory: both ends of the port in one object, for tests and for nothing durable.

It means what `ports.log` says in all but one thing: when it returns, nothing is durable.
"""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from millrace.errors import GoneError, StopError
from millrace.model.message import RawBatch, size_bytes
from millrace.ports.log import Extent, Note


@dataclass(slots=True)
class _Partition:
    start: int = 0
    end: int = 0
    batches: deque[RawBatch] = field(default_factory=deque)


class MemoryLog:
    """`ports.log.Log` and `ports.log.LogReader`; may be used from several threads."""

    def __init__(self, *, partitions: int = 4) -> None:
        self._parts = [_Partition() for _ in range(partitions)]
        self._notes: dict[bytes, bytes] = {}
        self._lock = threading.RLock()

    @property
    def partitions(self) -> int:
        return len(self._parts)

    def append(self, batches: Sequence[RawBatch], notes: Sequence[Note] = ()) -> list[int]:
        if len({batch.partition for batch in batches}) != len(batches):
            raise ValueError("an append takes at most one batch per partition")
        with self._lock:
            parts = [self._parts[batch.partition] for batch in batches]
            for batch, part in zip(batches, parts, strict=True):
                batch.first_offset = part.end
                if len(batch):
                    part.batches.append(_cut(batch, 0))
                    part.end = batch.next_offset
            for note in notes:
                if note.value is None:
                    self._notes.pop(note.key, None)
                else:
                    self._notes[note.key] = note.value
        return [batch.first_offset for batch in batches]

    def read(self, partition: int, offset: int, max_messages: int) -> RawBatch | None:
        with self._lock:
            part = self._parts[partition]
            if offset < part.start:
                raise GoneError(
                    f"partition {partition} begins at offset {part.start}, not {offset}"
                )
            if offset > part.end:
                raise StopError(f"partition {partition} ends at offset {part.end}, before {offset}")
            found: RawBatch | None = None
            for batch in part.batches:
                if batch.next_offset <= offset:
                    continue
                if found is None:
                    found = _cut(batch, offset - batch.first_offset)
                else:
                    _extend(found, batch)
                if len(found) >= max_messages:
                    break
            return found

    def unnoted(self) -> Sequence[RawBatch]:
        return ()

    def appended(self) -> int:
        return sum(extent.end for extent in self.extents())

    def notes(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        with self._lock:
            return sorted(item for item in self._notes.items() if item[0].startswith(prefix))

    def extents(self) -> list[Extent]:
        with self._lock:
            return [Extent(part.start, part.end) for part in self._parts]

    def offset_at(self, partition: int, received_at_ns: int) -> int:
        with self._lock:
            part = self._parts[partition]
            for batch in part.batches:
                if max(batch.received_at_ns) >= received_at_ns:
                    return batch.first_offset
            return part.end

    def retire(self, *, before_ns: int | None, max_bytes: int | None, keep: Sequence[int]) -> int:
        with self._lock:
            return sum(len(batch) for batch in self._retired(before_ns, max_bytes, keep))

    def close(self) -> None:
        """Do nothing: what was appended stays readable, as it does on a disk."""

    def _retired(
        self, before_ns: int | None, max_bytes: int | None, keep: Sequence[int]
    ) -> Iterator[RawBatch]:
        """Remove batches, oldest first; yield each."""
        size = sum(size_bytes(batch.payloads) for part in self._parts for batch in part.batches)
        while True:
            free = [
                (max(part.batches[0].received_at_ns), number)
                for number, part in enumerate(self._parts)
                if part.batches and part.batches[0].next_offset <= keep[number]
            ]
            if not free:
                return
            age, number = min(free)
            is_old = before_ns is not None and age < before_ns
            if not is_old and (max_bytes is None or size <= max_bytes):
                return
            part = self._parts[number]
            batch = part.batches.popleft()
            part.start = batch.next_offset
            size -= size_bytes(batch.payloads)
            yield batch


def _cut(batch: RawBatch, at: int) -> RawBatch:
    """Return a copy without the first messages."""
    return RawBatch(
        batch.partition,
        batch.first_offset + at,
        batch.topics[at:],
        batch.payloads[at:],
        batch.received_at_ns[at:],
        batch.flags[at:],
        batch.client_ids[at:],
        batch.packet_ids[at:],
        {index - at: body for index, body in batch.extras.items() if index >= at},
    )


def _extend(batch: RawBatch, more: RawBatch) -> None:
    count = len(batch)
    batch.extras.update((count + index, body) for index, body in more.extras.items())
    batch.topics += more.topics
    batch.payloads += more.payloads
    batch.received_at_ns += more.received_at_ns
    batch.flags += more.flags
    batch.client_ids += more.client_ids
    batch.packet_ids += more.packet_ids
