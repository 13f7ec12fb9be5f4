"""The fleet in real time: what the schedule says goes to the connections at its time.

Simulated time runs as fast as real time. When the broker is slower than the fleet, what waits is
bounded: at a steady rate the fleet then slows down, while a broker that is away costs the oldest
messages once the buffers are full.
Source: F2-170, MTR-151, SNS-100.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from millrace.errors import RejectError, RetryError, StopError
from millrace.model.instants import SECOND_NS
from millrace.mqtt.packets import ProtocolError
from millrace.ports.clock import Clock
from millrace.simulate.acts import Deed, Device, Fetch, Message
from millrace.simulate.firmware import fetch
from millrace.simulate.line import Access, Line, Tally
from millrace.simulate.schedule import Schedule

GATHER_S: Final = 10.0
BURST: Final = 500
WAITING_MOST: Final = 20_000

_AT_ONCE: Final = 100
_TICK_S: Final = 0.002
_REST_S: Final = 0.05


class BrokerAwayError(StopError):
    """The broker could not be reached at the start."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Course:
    """When a run begins and ends. `duration_s` None: when it is told to.

    `start_ns` None begins with the real time; a given start is kept to the nanosecond, so that a
    run can be repeated.
    """

    start_ns: int | None = None
    duration_s: float | None = None


class Fleet:
    """All devices with their connections."""

    def __init__(
        self,
        devices: Sequence[Device],
        schedule: Schedule,
        access: Access,
        *,
        clock: Clock,
        connections: int = 0,
        seed: int = 0,
    ) -> None:
        self.tally = Tally()
        self._devices = devices
        self._schedule = schedule
        self._access = access
        self._clock = clock
        self._origin_ns = clock.now_ns()
        self._origin_s = clock.steady_s()
        self._waiting: set[Line] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._group = asyncio.TaskGroup()
        self._over = threading.Event()
        self._books: dict[str, Any] = {}
        self.lines = self._lines(connections or len(devices), seed)
        self._line_of: list[Line] = [self.lines[0]] * len(devices)
        for line in self.lines:
            for number, _ in line.devices:
                self._line_of[number] = line

    @property
    def connected(self) -> int:
        """How many connections are open."""
        return sum(line.is_open for line in self.lines)

    @property
    def waiting(self) -> int:
        """Messages that have not been sent yet."""
        return sum(len(line.outbox) for line in self.lines)

    def now_ns(self) -> int:
        """Return the simulated time."""
        return self._origin_ns + int((self._clock.steady_s() - self._origin_s) * SECOND_NS)

    async def run(
        self, course: Course, over: asyncio.Event, ready: Callable[[], None] | None = None
    ) -> None:
        """Run until `over` is set or the duration has passed, then send what still waits.

        `ready` is called when all devices are connected.
        Raises:
            BrokerAwayError: No connection within the time that a start may take.
            StopError: The broker refuses for good.
        """
        if course.start_ns is not None:
            self._begin(course.start_ns)
        try:
            async with self._group as group:
                await self._reach()
                keeping = [group.create_task(self._keep(line)) for line in self.lines]
                await self._gathered(over)
                if ready is not None:
                    ready()
                await self._play(course, over)
                await self._drain()
                self._end(keeping)
                # What was said last is written in this turn of the loop or the next.
                await asyncio.sleep(_REST_S)
        except* StopError as errors:
            raise _first(errors) from None

    def _end(self, keeping: Sequence[asyncio.Task[None]]) -> None:
        """Keep the books as they are, and close everything."""
        self._over.set()
        self._books = self._count()
        for task in keeping:
            task.cancel()
        for line in self.lines:
            line.close(self.now_ns())

    def _begin(self, start_ns: int) -> None:
        self._origin_ns = start_ns
        self._origin_s = self._clock.steady_s()

    def _lines(self, connections: int, seed: int) -> list[Line]:
        number = min(connections, len(self._devices))
        groups: list[list[tuple[int, Device]]] = [[] for _ in range(number)]
        for at, device in enumerate(self._devices):
            groups[at % number].append((at, device))
        is_shared = number < len(self._devices)
        return [
            Line(
                f"simulate-{seed}-{at}" if is_shared else devices[0][1].device_id,
                devices,
                self._access,
                tally=self.tally,
                rng=Random(f"{seed}/line/{at}"),  # noqa: S311 - jitter, not a secret
            )
            for at, devices in enumerate(groups)
        ]

    async def _reach(self) -> None:
        """Open the first connection within the time that a start may take."""
        address = self._access.address
        problem = ""
        try:
            async with asyncio.timeout(self._access.start_s):
                while True:
                    try:
                        await self.lines[0].open(self.now_ns, self._heard)
                    except (RetryError, ProtocolError) as error:
                        problem = str(error)
                        await asyncio.sleep(0.25)
                    else:
                        return
        except TimeoutError:
            raise BrokerAwayError(
                f"no MQTT broker at {address.host}:{address.port}: {problem}",
                "start one with `millrace up`, or name another with --url",
            ) from None

    async def _keep(self, line: Line) -> None:
        """Keep a connection open."""
        was_open = False
        while True:
            if not line.is_open:
                try:
                    async with self._slots:
                        await line.open(self.now_ns, self._heard)
                except (RetryError, ProtocolError):
                    await asyncio.sleep(line.retry_s())
                    continue
            self.tally.reconnects += was_open
            was_open = True
            if len(line.outbox):
                self._waiting.add(line)
            await line.lost()
            await asyncio.sleep(line.retry_s())

    async def _gathered(self, over: asyncio.Event) -> None:
        """Wait until every device is there, or has had its time."""
        deadline = self._clock.steady_s() + GATHER_S + len(self.lines) / 200
        while self.connected < len(self.lines) and self._clock.steady_s() < deadline:
            if over.is_set():
                return
            await asyncio.sleep(_REST_S)

    async def _play(self, course: Course, over: asyncio.Event) -> None:
        """Do what the schedule says until the end."""
        if course.start_ns is not None:
            self._begin(course.start_ns)
        self._schedule.begin(self.now_ns())
        end_ns = None
        if course.duration_s is not None:
            end_ns = self.now_ns() + int(course.duration_s * SECOND_NS)
        while not over.is_set():
            now_ns = self.now_ns()
            if end_ns is not None and now_ns >= end_ns:
                await self._catch_up(end_ns)
                break
            is_busy = self._advance(now_ns)
            await asyncio.sleep(0 if is_busy else self._rest_s())
        self._do_all(self._schedule.flush())

    async def _catch_up(self, end_ns: int) -> None:
        """Do what was due before the end, unless it is too much."""
        is_busy = True
        while is_busy and self.now_ns() < end_ns + SECOND_NS:
            is_busy = self._advance(end_ns)
            await asyncio.sleep(0)

    def _advance(self, now_ns: int) -> bool:
        """Do what is due, and send what waits; return whether more is due already."""
        backlog = sum(len(line.outbox) for line in self._waiting if line.is_open)
        steps = self._schedule.until(now_ns, BURST) if backlog < WAITING_MOST else []
        self._do_all(steps)
        for line in [*self._waiting]:
            line.pump()
            if not len(line.outbox):
                self._waiting.discard(line)
        return len(steps) >= BURST

    def _rest_s(self) -> float:
        due_s = (self._schedule.due_ns - self.now_ns()) / SECOND_NS
        longest_s = _TICK_S if self._waiting else _REST_S
        return min(longest_s, max(_TICK_S, due_s))

    def _do_all(self, steps: Sequence[tuple[int, Sequence[Deed]]]) -> None:
        for number, deeds in steps:
            self._do(number, deeds)

    def _do(self, number: int, deeds: Sequence[Deed]) -> None:
        line = self._line_of[number]
        for deed in deeds:
            if type(deed) is Message:
                if not line.send(deed):
                    self._waiting.add(line)
            elif type(deed) is Fetch:
                self._group.create_task(self._fetch(number, deed))
            else:
                line.restart()

    def _heard(self, number: int, topic: str, payload: bytes) -> None:
        """Let a device answer a message."""
        self._do(number, self._devices[number].heard(self.now_ns(), topic, payload))
        self._schedule.touch(number)

    async def _fetch(self, number: int, deed: Fetch) -> None:
        loop = asyncio.get_running_loop()

        def progress(percent: int) -> None:
            loop.call_soon_threadsafe(
                lambda: self._do(number, deed.on_progress(self.now_ns(), percent))
            )

        digest = problem = ""
        try:
            digest = await asyncio.to_thread(fetch, deed.url, deed.size_bytes, progress, self._over)
        except RejectError as error:
            problem = error.detail
        self._do(number, deed.on_end(self.now_ns(), digest, problem))
        self._schedule.touch(number)

    async def _drain(self) -> None:
        """Send what waits, and hear that it came, for as long as the broker is there."""
        deadline = self._clock.steady_s() + self._access.drain_s
        while self._clock.steady_s() < deadline:
            for line in [*self._waiting]:
                line.pump()
            if not any(len(line.outbox) or line.in_flight for line in self.lines):
                return
            await asyncio.sleep(_TICK_S)

    def summary(self) -> dict[str, Any]:
        """Return what was done, for people and machines."""
        return self._books or self._count()

    def _count(self) -> dict[str, Any]:
        tally = self.tally
        in_flight = sum(line.in_flight for line in self.lines)
        dropped = sum(line.outbox.dropped for line in self.lines)
        return {
            "devices": len(self._devices),
            "connections": len(self.lines),
            "connected": self.connected,
            "sent": tally.sent,
            "acknowledged": tally.sent - tally.unconfirmed - in_flight,
            "unconfirmed": tally.unconfirmed,
            "repeated": tally.repeated,
            "failed": tally.refused + dropped + in_flight + self.waiting,
            "dropped": dropped,
            "received": tally.received,
            "reconnects": tally.reconnects,
            "faults": {kind: n for kind, n in self._schedule.counts.items() if n},
        }


def _first(errors: BaseExceptionGroup[StopError]) -> StopError:
    found = errors.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
