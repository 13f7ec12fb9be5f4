"""The ingest worker: take what the broker has, make it durable, let the broker acknowledge.

One append is under way at a time, in a thread of its own; meanwhile the broker gathers the next
group, so the size of a group follows the load by itself. Nothing is acknowledged before `append`
has returned.
Source: architecture.md 4 (PUBACK means durable), D-10, D-17, MON-030, F10, F11.
"""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from millrace.errors import RetryError
from millrace.flow.backoff import Backoff
from millrace.flow.crashpoints import crashpoint
from millrace.ingest.admit import Admission, Admitted, Label
from millrace.ports.broker import Broker, Intake
from millrace.ports.clock import Clock
from millrace.ports.log import Log, Note

RECEIVED = b"received/"
SHED = b"shed/"


@dataclass(slots=True)
class IngestCounters:
    """What was received, counted since the log was made; the notes hold the same numbers."""

    received: Counter[Label] = field(default_factory=Counter)
    shed: Counter[Label] = field(default_factory=Counter)
    bytes_by_family: Counter[str] = field(default_factory=Counter)
    is_stalled: bool = False


class Observer(Protocol):
    """Is told what happens to groups of messages."""

    def appended(self, messages: int, seconds: float) -> None:
        """Take in how many were appended, and how long that took."""

    def acknowledged(self, seconds: float) -> None:
        """Take in how long the oldest message has waited for its acknowledgement."""


class IngestWorker:
    """Carries messages from one broker into one log.

    `link` names the broker in the counters.
    """

    def __init__(
        self,
        broker: Broker,
        log: Log,
        admission: Admission,
        *,
        clock: Clock,
        link: str = "own",
        observer: Observer | None = None,
    ) -> None:
        self._broker = broker
        self._log = log
        self._admission = admission
        self._clock = clock
        self._link = link
        self._observer = observer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log")
        self.counters = IngestCounters(
            received=_read_counts(log, RECEIVED, link), shed=_read_counts(log, SHED, link)
        )
        self._recount()

    async def run(self) -> None:
        """Carry messages until cancelled.

        Raises:
            StopError: The log can no longer be trusted; nothing was acknowledged after that.
        """
        while True:
            await self.step()

    async def step(self) -> int:
        """Carry one group; return the number of its messages."""
        intake = await self._broker.receive()
        admitted = self._admission.admit(intake.messages)
        notes = [*intake.notes, *self._count(intake, admitted)]
        await self._append(admitted, notes)
        crashpoint("after_append_before_ack")
        self._broker.settle(intake, admitted.placed())
        if self._observer is not None and len(intake.messages):
            waited_ns = self._clock.now_ns() - intake.messages.received_at_ns[0]
            self._observer.acknowledged(max(0, waited_ns) / 1e9)
        crashpoint("after_ack")
        return len(intake.messages)

    def close(self) -> None:
        """End the thread; an append under way is finished first."""
        self._thread.shutdown()

    async def _append(self, admitted: Admitted, notes: list[Note]) -> None:
        """Append, for as long as it takes: until then nothing is acknowledged, reading stops."""
        loop = asyncio.get_running_loop()
        backoff = Backoff()
        while True:
            started = self._clock.steady_s()
            try:
                await loop.run_in_executor(self._thread, self._log.append, admitted.batches, notes)
            except RetryError as error:
                self.counters.is_stalled = True
                await asyncio.sleep(backoff.failed(error))
            else:
                backoff.succeeded()
                self.counters.is_stalled = False
                if self._observer is not None:
                    seconds = self._clock.steady_s() - started
                    self._observer.appended(len(admitted.partitions), seconds)
                return

    def _recount(self) -> None:
        """Count what a crash has left in the log without its count."""
        received = self.counters.received
        found = [self._admission.admit(batch).received for batch in self._log.unnoted()]
        for labels in found:
            received.update(labels)
        if found:
            changed = dict.fromkeys(label for labels in found for label in labels)
            self._log.append([], [self._total(label) for label in changed])

    def _total(self, label: Label) -> Note:
        return Note(self._key(RECEIVED, label), b"%d" % self.counters.received[label])

    def _count(self, intake: Intake, admitted: Admitted) -> list[Note]:
        counters = self.counters
        counters.received.update(admitted.received)
        counters.bytes_by_family.update(admitted.bytes_by_family)
        notes = [self._total(label) for label in admitted.received]
        for topic, number in intake.shed.items():
            label = Label(*self._admission.label(topic), "mqtt")
            counters.received[label] += number
            counters.shed[label] += number
            notes.append(self._total(label))
            notes.append(Note(self._key(SHED, label), b"%d" % counters.shed[label]))
        return notes

    def _key(self, prefix: bytes, label: Label) -> bytes:
        # Each link counts under keys of its own, so workers never write each other's totals.
        return prefix + "/".join((*label, self._link)).encode()


def _read_counts(log: Log, prefix: bytes, link: str) -> Counter[Label]:
    counts: Counter[Label] = Counter()
    for key, value in log.notes(prefix):
        *label, of_link = key[len(prefix) :].decode().split("/")
        if of_link == link:
            counts[Label(*label)] = int(value)
    return counts
