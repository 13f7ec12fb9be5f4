"""One load on one stack: how fast it went through to the ledger, and what it cost."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from bench.checks import require
from bench.process import Worker
from bench.stack import MEBI, Stack

SAMPLE_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Passage:
    """A load that went through. `seconds` ends when the last message was committed."""

    messages: int
    seconds: float
    acknowledged_s: float
    cpu_s: Mapping[str, float]
    rss_mib: Mapping[str, float]
    load_cpu_s: float

    @property
    def rate(self) -> float:
        """Messages a second through to the ledger."""
        return self.messages / self.seconds

    @property
    def cpu_us(self) -> float:
        """Processor microseconds a message, edge and core together."""
        return 1e6 * (self.cpu_s["edge"] + self.cpu_s["core"]) / self.messages

    def figures(self) -> dict[str, Any]:
        """Return everything for the file of results."""
        per_message = {name: round(1e6 * s / self.messages, 3) for name, s in self.cpu_s.items()}
        return {
            "messages": self.messages,
            "seconds": round(self.seconds, 3),
            "acknowledged_per_s": round(self.messages / self.acknowledged_s),
            "stored_per_s": round(self.rate),
            "cpu_us_per_message": per_message,
            "load_cpu_us_per_message": round(1e6 * self.load_cpu_s / self.messages, 3),
            "rss_mib": {name: round(size, 1) for name, size in self.rss_mib.items()},
        }


def pass_through(stack: Stack, source: str, *words: object, before: int = 0) -> Passage:
    """Send a load and wait until the ledger has all of it.

    `before` is the number of messages that the stack had received until then.
    Raises:
        CheckError: Not everything was acknowledged, or the ledger does not catch up.
    """
    with Worker("bench.load", source, *words) as load:
        load.wait_ready()
        first = stack.usage()
        load.go()
        sent = load.result()
        require(not sent["lost"], f"{sent['lost']:.0f} connections were lost")
        ended = stack.wait_until_stored(before + int(sent["messages"]))
        last = stack.usage()
    return Passage(
        messages=int(sent["messages"]),
        seconds=ended - sent["started"],
        acknowledged_s=sent["seconds"],
        cpu_s=last.since(first),
        rss_mib={name: size / MEBI for name, size in last.rss_bytes.items()},
        load_cpu_s=sent["cpu_s"],
    )


@dataclass(slots=True)
class Line:
    """Sends one load after the other from the same devices; no message comes twice.

    `sent` is the number of messages of each device so far.
    """

    stack: Stack
    source: str
    devices: int
    sent: int = 0

    def send(self, messages: int, *words: object) -> Passage:
        """Send so many further messages of each device, and wait until they are committed."""
        passage = pass_through(
            self.stack, self.source, "--devices", self.devices, "--messages", messages,
            "--first", self.sent, *words, before=self.sent * self.devices,
        )  # fmt: skip
        self.sent += messages
        return passage


@dataclass(slots=True)
class MemorySampler:
    """Looks at the memory of a stack all the time, in a thread.

    Pages that several processes share, as those of the libraries, count once (PSS); the plain sum
    of resident sizes is kept beside it.
    """

    stack: Stack
    samples: list[dict[str, int]] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def most_mib(self) -> float:
        """Return the largest sum over all processes."""
        return max(self._sums())

    @property
    def most_resident_mib(self) -> float:
        """Return the largest plain sum of resident sizes."""
        return max(self.resident)

    def most_by_process(self) -> dict[str, float]:
        """Return the memory of each process when the sum was largest. Units: MiB."""
        largest = max(self.samples, key=lambda sample: sum(sample.values()))
        return {name: round(size / MEBI, 1) for name, size in largest.items()}

    @property
    def growth(self) -> float:
        """Return the mean of the last third over the mean of the middle third."""
        sizes = self._sums()
        third = max(1, len(sizes) // 3)
        return (sum(sizes[-third:]) / third) / (sum(sizes[-2 * third : -third] or sizes) / third)

    def _sums(self) -> list[float]:
        return [sum(sample.values()) / MEBI for sample in self.samples]

    def _run(self) -> None:
        while not self._over.wait(SAMPLE_EVERY_S):
            self.samples.append(self.stack.memory())
            self.resident.append(self.stack.usage().rss_mib)
