"""The worker acknowledges what is durable, and nothing else."""

import asyncio
from collections.abc import Sequence

import pytest

from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.log_memory import MemoryLog
from millrace.errors import RetryError, StopError
from millrace.ingest.admit import Admission, Label
from millrace.ingest.worker import IngestWorker
from millrace.model.message import HTTP, REDRIVE, RawBatch
from millrace.model.partition import partition_of
from millrace.ports.broker import Intake
from millrace.ports.log import Note
from tests.decode.toy import ToyCodec


class QueueBroker:
    """A broker whose messages a test puts in by hand."""

    def __init__(self) -> None:
        self.intakes: asyncio.Queue[Intake] = asyncio.Queue()
        self.settled: list[tuple[Intake, list[tuple[int, int]]]] = []

    async def start(self) -> None: ...

    async def receive(self) -> Intake:
        return await self.intakes.get()

    def settle(self, intake: Intake, offsets: Sequence[tuple[int, int]]) -> None:
        self.settled.append((intake, list(offsets)))

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        expiry_s: int | None = None,
    ) -> None: ...

    async def close(self) -> None: ...


class FailingLog(MemoryLog):
    """A log that refuses a number of appends first."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(partitions=4)
        self.errors = list(errors)

    def append(self, batches: Sequence[RawBatch], notes: Sequence[Note] = ()) -> list[int]:
        if self.errors:
            raise self.errors.pop(0)
        return super().append(batches, notes)


def intake(*topics: str, flags: int = 0) -> Intake:
    messages = RawBatch()
    for topic in topics:
        messages.add(topic, b"1", 1, flags=flags)
    return Intake(messages)


def worker_on(log: MemoryLog) -> tuple[IngestWorker, QueueBroker]:
    broker = QueueBroker()
    admission = Admission([ToyCodec()], log.partitions)
    return IngestWorker(broker, log, admission, clock=ManualClock()), broker


async def test_messages_are_durable_before_they_are_settled() -> None:
    log = MemoryLog(partitions=4)
    worker, broker = worker_on(log)
    broker.intakes.put_nowait(intake("toy/a", "toy/b", "toy/a", "nobody/x"))
    assert await worker.step() == 4
    _, offsets = broker.settled[0]
    a, b, nobody = (partition_of(name, 4) for name in ("a", "b", "unknown"))
    assert [partition for partition, _ in offsets] == [a, b, a, nobody]
    assert offsets[2][1] == offsets[0][1] + 1 + (b == a)
    assert sum(extent.end for extent in log.extents()) == 4
    worker.close()


async def test_outage_of_the_log_is_waited_for_and_nothing_is_acknowledged() -> None:
    log = FailingLog(RetryError("disk full"), RetryError("disk full"))
    worker, broker = worker_on(log)
    broker.intakes.put_nowait(intake("toy/a"))
    step = asyncio.ensure_future(worker.step())  # noqa: TID251 - awaited below
    await asyncio.sleep(0.02)
    assert worker.counters.is_stalled
    assert broker.settled == []
    await step
    assert len(broker.settled) == 1
    assert not worker.counters.is_stalled
    worker.close()


async def test_f10_a_log_that_cannot_be_trusted_ends_the_worker() -> None:
    worker, broker = worker_on(FailingLog(StopError("fsync failed")))
    broker.intakes.put_nowait(intake("toy/a"))
    with pytest.raises(StopError):
        await worker.run()
    assert broker.settled == []
    worker.close()


async def test_mon101_received_counts_outlive_the_process() -> None:
    log = MemoryLog(partitions=4)
    worker, broker = worker_on(log)
    for _ in range(2):
        worker, broker = worker_on(log)
        broker.intakes.put_nowait(intake("toy/a", "toy/a"))
        broker.intakes.put_nowait(intake("toy/b", flags=HTTP))
        broker.intakes.put_nowait(intake("nobody", flags=REDRIVE))
        for _ in range(3):
            await worker.step()
        worker.close()
    assert worker.counters.received == {
        Label("toy", "telemetry", "mqtt"): 4,
        Label("toy", "telemetry", "http"): 2,
        Label("generic", "other", "redrive"): 2,
    }


async def test_mon106_shed_messages_are_received_too() -> None:
    worker, broker = worker_on(MemoryLog(partitions=4))
    shed = intake()
    shed.shed = {"toy/a": 3}
    broker.intakes.put_nowait(shed)
    await worker.step()
    label = Label("toy", "telemetry", "mqtt")
    assert worker.counters.received[label] == worker.counters.shed[label] == 3
    worker.close()


class Unnoted(MemoryLog):
    """A log whose writer died between messages and notes."""

    def unnoted(self) -> Sequence[RawBatch]:
        return [batch for p in range(self.partitions) if (batch := self.read(p, 0, 100))]


async def test_p8_what_a_crash_left_uncounted_is_counted_at_the_next_start() -> None:
    log = Unnoted(partitions=2)
    batch = RawBatch(1)
    batch.add("sensors/temperature/s1", b"{}", 1)
    log.append([batch])
    worker, _ = worker_on(log)
    assert sum(worker.counters.received.values()) == 1
    assert [value for _, value in log.notes(b"received/")] == [b"1"]
    worker.close()


class Seen:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.appends: list[tuple[int, float]] = []
        self.waits: list[float] = []

    def appended(self, messages: int, seconds: float) -> None:
        self.appends.append((messages, seconds))

    def acknowledged(self, seconds: float) -> None:
        self.waits.append(seconds)


async def test_mon_113_the_wait_of_the_oldest_message_is_told() -> None:
    clock, broker, seen = ManualClock(10**18), QueueBroker(), Seen()
    admission = Admission([ToyCodec()], 4)
    worker = IngestWorker(broker, MemoryLog(partitions=4), admission, clock=clock, observer=seen)
    messages = RawBatch()
    for age_ns in (2_500_000_000, 1_000_000_000):
        messages.add("toy/a", b"1", clock.now_ns() - age_ns, flags=1)
    broker.intakes.put_nowait(Intake(messages))
    broker.intakes.put_nowait(Intake(RawBatch()))
    await worker.step()
    await worker.step()
    worker.close()
    assert seen.waits == [2.5]
    assert [number for number, _ in seen.appends] == [2, 0]
