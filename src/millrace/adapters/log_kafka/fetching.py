"""Records of one topic by partition and offset, over a client that fetches ahead.

A partition that is read stays assigned, and what comes of it is kept until it is asked for. Reading
elsewhere than where the last read ended moves the partition. What a partition may hold in here is
bounded: one that nobody reads while others are read is let go, and fetched again when asked for.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from confluent_kafka import Message, TopicPartition

from millrace.adapters.log_kafka.client import (
    ANSWER_S,
    Admin,
    Complaints,
    KafkaCluster,
    fetched,
    translate,
)
from millrace.errors import GoneError, RetryError, StopError

_MOST_KEPT: Final = 20_000
_MOST_KEPT_BYTES: Final = 32 << 20


@dataclass(slots=True)
class _Partition:
    """What was fetched of one partition: `next` is the offset of the first record in `records`."""

    next: int
    records: deque[Message] = field(default_factory=deque)
    size_bytes: int = 0
    is_gone: bool = False

    def take(self, count: int) -> list[Message]:
        """Remove and return the first records."""
        taken = [self.records.popleft() for _ in range(min(count, len(self.records)))]
        self.size_bytes -= sum(map(len, taken))
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
        self._consumer = cluster.consumer(self._complaints)
        self._is_open = True

    def told_ends(self, ends: Iterable[int]) -> None:
        """Take note of ends that somebody has asked for; it saves reads a question."""
        self._ends = dict(enumerate(ends))

    def read(self, partition: int, offset: int, count: int) -> list[Message]:
        """Return up to `count` records from `offset` on; none when there are none yet.

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
            if end <= offset + len(part.records):
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
        """Fetch until a partition has so many records."""
        deadline = monotonic() + ANSWER_S
        while len(part.records) < count:
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
            error = message.error()
            if error is not None:
                named = translate(error, f"reading {self._topic}-{number}", self._complaints)
                if isinstance(named, StopError):
                    raise named
                part.is_gone = isinstance(named, GoneError)
            elif message.offset() == part.next + len(part.records):
                part.records.append(message)
                part.size_bytes += len(message)
        for number, part in list(self._parts.items()):
            is_full = len(part.records) > _MOST_KEPT or part.size_bytes > _MOST_KEPT_BYTES
            if number != wanted and (is_full or part.is_gone):
                self._let_go(number)

    def _move(self, partition: int, offset: int) -> _Partition:
        self._let_go(partition)
        self._consumer.incremental_assign([TopicPartition(self._topic, partition, offset)])
        self._parts[partition] = _Partition(offset)
        return self._parts[partition]

    def _let_go(self, partition: int) -> None:
        if self._parts.pop(partition, None) is not None:
            self._consumer.incremental_unassign([TopicPartition(self._topic, partition)])
