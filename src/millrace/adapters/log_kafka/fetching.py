"""Records of one topic by partition and offset, over a client that fetches ahead.

A partition that is read stays assigned, and what comes of it is kept until it is asked for. Reading
elsewhere than where the last read ended moves the partition. What a partition may hold in here is
bounded: one that nobody reads while others are read is let go, and fetched again when asked for.

Not every offset has a record: what ends a transaction takes one, and nobody gets to see it. Such a
hole is None in what is read, so that nobody waits for it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from confluent_kafka import KafkaError, Message, TopicPartition

from millrace.adapters.log_kafka.client import (
    ANSWER_S,
    Admin,
    Complaints,
    KafkaCluster,
    fetched,
    translate,
)
from millrace.errors import GoneError, RetryError, StopError

# A read ends behind the record that comes to so much (P10), and all partitions together keep this.
_ENOUGH_BYTES: Final = 8 << 20
_MOST_KEPT: Final = 50_000
_MOST_KEPT_BYTES: Final = 32 << 20

Found = Message | None


@dataclass(slots=True)
class _Partition:
    """What was fetched of one partition: `next` is the offset of the first record in `records`."""

    next: int
    records: deque[Found] = field(default_factory=deque)
    size_bytes: int = 0
    is_gone: bool = False

    @property
    def end(self) -> int:
        """Offset of the record that comes next."""
        return self.next + len(self.records)

    def put(self, message: Message, offset: int) -> None:
        """Keep a record, unless it is one from before."""
        if offset >= self.end:
            self.pass_to(offset)
            self.records.append(message)
            self.size_bytes += len(message)

    def pass_to(self, offset: int) -> None:
        """Take note that there are no records before an offset."""
        self.records.extend([None] * (offset - self.end))

    def take(self, count: int) -> list[Found]:
        """Remove and return the first records, not many more than enough bytes of them."""
        taken: list[Found] = []
        taken_bytes = 0
        while self.records and len(taken) < count and taken_bytes < _ENOUGH_BYTES:
            record = self.records.popleft()
            taken.append(record)
            taken_bytes += 0 if record is None else len(record)
        self.size_bytes -= taken_bytes
        self.next += len(taken)
        return taken


class Fetcher:
    """Reads one topic. Thread-confined."""

    def __init__(self, cluster: KafkaCluster, admin: Admin, topic: str) -> None:
        self._admin = admin
        self._topic = topic
        self._complaints = Complaints()
        self._parts: dict[int, _Partition] = {}
        self._ends: dict[int, int] = {}
        self._consumer = cluster.consumer(self._complaints, **{"enable.partition.eof": True})
        self._is_open = True

    def told_ends(self, ends: Iterable[int]) -> None:
        """Take note of ends that somebody has asked for; it saves reads a question."""
        self._ends = dict(enumerate(ends))

    def read(self, partition: int, offset: int, count: int) -> list[Found]:
        """Return up to `count` records from `offset` on; none when there are none yet.

        Fewer when they are large; None stands for an offset that has no record.

        Raises:
            GoneError: The offset is before the first record.
            StopError: The offset is behind the end.
            RetryError: The cluster does not send what it has.
        """
        part = self._parts.get(partition)
        if part is None or part.next != offset:
            part = self._move(partition, offset)
        if len(part.records) < count:
            end = self._ends.get(partition, 0)
            if end <= part.end:
                end = self._ends[partition] = self._admin.end(self._topic, partition)
            if end < offset:
                raise StopError(
                    f"partition {partition} of {self._topic} ends at offset {end}, before {offset}",
                    "was the topic made anew? the store belongs to the old one",
                )
            self._await(partition, part, min(count, end - offset))
        return part.take(count)

    def close(self) -> None:
        """Release the client; a second call does nothing."""
        if self._is_open:
            self._is_open = False
            self._consumer.close()

    def _await(self, partition: int, part: _Partition, count: int) -> None:
        """Fetch until a partition has so many records, or enough bytes of them."""
        deadline = monotonic() + ANSWER_S
        while len(part.records) < count and part.size_bytes < _ENOUGH_BYTES:
            if part.is_gone:
                self._let_go(partition)
                raise GoneError(
                    f"partition {partition} of {self._topic} does not hold offset {part.next} "
                    "any more"
                )
            if monotonic() > deadline:
                raise RetryError(
                    f"Kafka does not send {self._topic}-{partition} from {part.next} on"
                    f"{self._complaints}"
                )
            self._keep(fetched(self._consumer), partition)

    def _keep(self, messages: list[Message], wanted: int) -> None:
        for message in messages:
            number = message.partition()
            part = self._parts.get(-1 if number is None else number)
            if part is None or number is None:
                continue
            error, offset = message.error(), message.offset() or 0
            if error is None:
                part.put(message, offset)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                part.pass_to(offset)
            else:
                named = translate(error, f"reading {self._topic}-{number}", self._complaints)
                if isinstance(named, StopError):
                    raise named
                part.is_gone = isinstance(named, GoneError)
        self._forget(wanted)

    def _forget(self, wanted: int) -> None:
        """Let partitions go that are gone, and the largest ones until the rest is not too much."""
        for number in [n for n, part in self._parts.items() if part.is_gone and n != wanted]:
            self._let_go(number)
        while self._is_too_much():
            others = [n for n, part in self._parts.items() if part.records and n != wanted]
            if not others:
                return
            self._let_go(max(others, key=lambda number: self._parts[number].size_bytes))

    def _is_too_much(self) -> bool:
        kept = self._parts.values()
        return (
            sum(len(part.records) for part in kept) > _MOST_KEPT
            or sum(part.size_bytes for part in kept) > _MOST_KEPT_BYTES
        )

    def _move(self, partition: int, offset: int) -> _Partition:
        self._let_go(partition)
        self._consumer.incremental_assign([TopicPartition(self._topic, partition, offset)])
        self._parts[partition] = _Partition(offset)
        return self._parts[partition]

    def _let_go(self, partition: int) -> None:
        if self._parts.pop(partition, None) is not None:
            self._consumer.incremental_unassign([TopicPartition(self._topic, partition)])
