"""The writing end: messages first, their notes when all messages are confirmed, then the return.

What the library has taken over it delivers, in order and once, however long that takes; it is never
told to give up. An append that is not confirmed in time raises RetryError and stays under way: the
same call again waits for the same records instead of writing them twice, and so does another call
before it sends anything itself. So an acknowledgement is never based on half a batch, and a process
that dies meanwhile has acknowledged nothing.
Source: architecture.md 4, D-16, F18, F19.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from millrace.adapters.log_kafka import topics
from millrace.adapters.log_kafka.client import (
    ANSWER_S,
    MAX_RECORD_BYTES,
    Complaints,
    KafkaCluster,
    translate,
)
from millrace.adapters.log_kafka.fetching import Fetcher
from millrace.adapters.log_kafka.notes import Mark, NotesTable, note_records
from millrace.adapters.log_kafka.records import Packer, Record, Unpacker, headers_of
from millrace.adapters.log_kafka.topics import RawTopic
from millrace.errors import RetryError, StopError
from millrace.flow.crashpoints import crashpoint
from millrace.model.message import RawBatch
from millrace.ports.log import Extent, Note

PATIENCE_S: Final = 5.0
_CHUNK: Final = 10_000

PRODUCING: Final = {
    "acks": "all",
    "enable.idempotence": True,
    "message.timeout.ms": 0,
    "linger.ms": 20,
    "compression.type": "lz4",
    "message.max.bytes": MAX_RECORD_BYTES,
    "batch.size": MAX_RECORD_BYTES,
    "queue.buffering.max.messages": 2_000_000,
    "queue.buffering.max.kbytes": 1 << 20,
    "topic.metadata.refresh.interval.ms": 60_000,
    "retry.backoff.ms": 50,
    "request.timeout.ms": 10_000,
    "socket.timeout.ms": 15_000,
}


@dataclass(slots=True)
class _Place:
    """Where the records of one partition have gone: first offset and the one behind the last."""

    first: int = -1
    next: int = -1
    is_dense: bool = True

    def put(self, offset: int) -> None:
        """Take note of the next record's offset."""
        if self.first < 0:
            self.first = offset
        elif offset != self.next:
            self.is_dense = False
        self.next = offset + 1


@dataclass(slots=True)
class _Flight:
    """One append under way. It keeps what it was called with, so ids of it stay unique."""

    batches: Sequence[RawBatch]
    notes: Sequence[Note]
    unsent: deque[Record]
    places: dict[int, _Place] = field(default_factory=dict)
    waiting: int = 0
    failure: KafkaError | None = None
    is_stored: bool = False

    def arrived(self, error: KafkaError | None, message: Message) -> None:
        """Take note of one confirmation."""
        self.waiting -= 1
        partition, offset = message.partition(), message.offset()
        if error is not None:
            self.failure = error
        elif partition is not None and offset is not None:
            self.places.setdefault(partition, _Place()).put(offset)

    def noted(self, error: KafkaError | None, _message: Message) -> None:
        """Take note of the confirmation of a note."""
        self.waiting -= 1
        self.failure = error or self.failure


class KafkaLog:
    """`ports.log.Log`; one process at a time where `is_alone`, else any number.

    `device_of` says whose message a topic carries: the key of the record. `instance` names this
    writer among several. Who is alone gets dense offsets, and stops when somebody else has written:
    that is the older of two processes that believe they are the one.
    Opening makes the topics; it raises RetryError, UsageError or StopError.
    """

    def __init__(
        self,
        cluster: KafkaCluster,
        topic: RawTopic,
        *,
        device_of: Callable[[str], str],
        instance: str = "",
        is_alone: bool = True,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._topic = topic
        self._by = instance
        self._is_alone = is_alone
        self._patience_s = patience_s
        self._admin = cluster.admin()
        topics.ensure(self._admin, topic)
        self._cluster = cluster
        self._lock = threading.Lock()
        self._flights: dict[tuple[int, int], _Flight] = {}
        self._packer = Packer(device_of, instance)
        self._table = NotesTable(cluster, topic.notes)
        self._table.catch_up()
        self._mark = self._table.marks.get(instance, Mark())
        held = self._admin.extents(topic.name, topic.partitions)
        self._starts, self._ends = (
            [extent.start for extent in held],
            [extent.end for extent in held],
        )
        self._unnoted = {
            partition: range(max(self._mark.ends.get(partition, 0), extent.start), extent.end)
            for partition, extent in enumerate(held)
        }
        for batch in self._beyond_mark():
            self._mark.appended += len(batch)
        self._complaints = Complaints()
        try:
            self._producer = Producer(cluster.options(self._complaints, **PRODUCING))
        except KafkaException as error:
            raise translate(error.args[0], "setting up the Kafka client") from error
        self._is_open = True

    @property
    def partitions(self) -> int:
        return self._topic.partitions

    def append(self, batches: Sequence[RawBatch], notes: Sequence[Note] = ()) -> list[int]:
        if len({batch.partition for batch in batches}) != len(batches):
            raise ValueError("an append takes at most one batch per partition")
        crashpoint("log_before_append")
        with self._lock:
            if not self._is_open:
                raise StopError("the log is closed")
            deadline = monotonic() + self._patience_s
            key = (id(batches), id(notes))
            # Settled in the order of sending: offsets, marks and totals in notes only grow.
            flight = self._flights.get(key)
            for earlier in self._flights.values():
                self._land(earlier, deadline)
                if earlier is flight:
                    break
            if flight is None:
                records = (record for batch in batches for record in self._packer.records(batch))
                flight = self._flights[key] = _Flight(batches, notes, deque(records))
                self._land(flight, deadline)
            del self._flights[key]
        crashpoint("log_after_append")
        return [batch.first_offset for batch in batches]

    def unnoted(self) -> Iterator[RawBatch]:
        """Yield what a crash left without notes, once."""
        yield from self._beyond_mark()
        # The next mark says that they are counted: a later start must not do so again.
        for partition, offsets in self._unnoted.items():
            self._mark.ends[partition] = max(self._mark.ends.get(partition, 0), offsets.stop)
        self._unnoted.clear()

    def notes(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        with self._lock:
            self._table.catch_up()
            return self._table.with_prefix(prefix)

    def extents(self) -> list[Extent]:
        """Return what each partition holds, as far as this writer has to do with it."""
        return [Extent(*pair) for pair in zip(self._starts, self._ends, strict=True)]

    def retire(self, *, before_ns: int | None, max_bytes: int | None, keep: Sequence[int]) -> int:
        """See `ports.log.Log`; sizes other than 0 are left to the topic's `retention.bytes`."""
        wanted = []
        for partition, extent in enumerate(
            self._admin.extents(self._topic.name, self._topic.partitions)
        ):
            until = extent.start
            if before_ns is not None:
                before_ms = before_ns // 1_000_000
                until = self._admin.offset_at(self._topic.name, partition, before_ms)
            if max_bytes == 0:
                until = extent.end
            until = min(until, keep[partition], extent.end)
            if until > extent.start:
                wanted.append((partition, until, until - extent.start))
        places = [TopicPartition(self._topic.name, p, until) for p, until, _ in wanted]
        if places:
            answers = self._admin.client.delete_records(places, request_timeout=ANSWER_S)
            for answer in answers.values():
                self._admin.answered(answer, "removing old messages")
        for partition, until, _ in wanted:
            self._starts[partition] = until
        return sum(count for _, _, count in wanted)

    def close(self) -> None:
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            # Nobody was told of what is still under way.
            self._producer.purge()
            self._producer.flush(1)
            self._table.close()

    def _land(self, flight: _Flight, deadline: float) -> None:
        """Have the messages confirmed, then their notes; go on where a call before gave up."""
        if not flight.is_stored:
            self._send(flight, deadline)
            self._await(flight, deadline)
            flight.is_stored = True
            self._settle(flight)
            crashpoint("log_before_notes")
            self._send_notes(flight)
        self._await(flight, deadline)

    def _send(self, flight: _Flight, deadline: float) -> None:
        """Hand the messages over to the library."""
        while flight.unsent:
            record = flight.unsent[0]
            try:
                self._producer.produce(
                    self._topic.name,
                    record.value,
                    record.key,
                    record.partition,
                    on_delivery=flight.arrived,
                    timestamp=record.time_ms,
                    headers=record.headers or None,
                )
            except BufferError:
                self._wait_a_little(deadline)
                continue
            except KafkaException as error:
                raise translate(error.args[0], "writing to the log") from error
            flight.unsent.popleft()
            flight.waiting += 1

    def _settle(self, flight: _Flight) -> None:
        """Fill in the offsets, and move the ends."""
        for batch in flight.batches:
            place = flight.places.get(batch.partition)
            first = self._ends[batch.partition]
            if place is not None:
                self._check_alone(batch.partition, place)
                first = place.first
                self._ends[batch.partition] = place.next
                self._mark.ends[batch.partition] = place.next
            batch.first_offset = first
            self._mark.appended += len(batch)

    def _check_alone(self, partition: int, place: _Place) -> None:
        expected = self._ends[partition]
        if self._is_alone and (place.first != expected or not place.is_dense):
            raise StopError(
                f"another process writes to {self._topic.name}: partition {partition} went on at "
                f"{place.first}, not at {expected}",
                "let one process take messages in for this topic; several need kafka.instance",
            )

    def _send_notes(self, flight: _Flight) -> None:
        if not flight.notes and not flight.places:
            return
        for key, value in note_records(flight.notes, self._by, self._mark):
            self._producer.produce(self._topic.notes, value, key, 0, on_delivery=flight.noted)
            flight.waiting += 1

    def _await(self, flight: _Flight, deadline: float) -> None:
        while flight.waiting:
            self._wait_a_little(deadline)
        if flight.failure is not None:
            named = translate(flight.failure, "writing to the log", self._complaints)
            raise StopError(str(named), "nothing is acknowledged until the process starts again")

    def _wait_a_little(self, deadline: float) -> None:
        left_s = deadline - monotonic()
        if left_s <= 0:
            raise RetryError(f"Kafka has not confirmed in time{self._complaints}")
        # Sends what is there without lingering, and returns when all of it is confirmed.
        self._producer.flush(min(left_s, 1.0))

    def _beyond_mark(self) -> Iterator[RawBatch]:
        """Read the messages of this writer that no mark speaks of, some at a time."""
        unpacker, fetcher = Unpacker(), Fetcher(self._cluster, self._admin, self._topic.name)
        try:
            for partition, offsets in self._unnoted.items():
                offset = offsets.start
                while offset < offsets.stop:
                    batch = RawBatch(partition)
                    messages = fetcher.read(partition, offset, min(_CHUNK, offsets.stop - offset))
                    for message in messages:
                        if message is not None and _written_by(message) == self._by:
                            unpacker.add(message, batch)
                    offset += len(messages)
                    if len(batch):
                        yield batch
        finally:
            fetcher.close()


def _written_by(message: Message) -> str:
    return next(
        (body.decode("utf-8", "replace") for name, body in headers_of(message) if name == "by"), ""
    )
