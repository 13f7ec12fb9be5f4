"""The pump with the real codecs over a log and a ledger in memory.

`Rig` keeps what outlives a process: log, books, clock. `pump()` is one life of a core process over
them, so a restart is a second call.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.ledger_memory import LedgerBooks, MemoryLedger
from millrace.adapters.log_memory import MemoryLog
from millrace.flow.hot_frame import open_hot
from millrace.flow.pump import Pump, PumpLimits
from millrace.middle import Middle
from millrace.model.device import DeviceProfile, unknown
from millrace.model.message import RawBatch
from millrace.model.partition import partition_of
from millrace.ports.fleet import Changes
from millrace.ports.ledger import Ledger
from millrace.settings import Settings
from millrace.wiring.middle import build_middle

START_NS = 1_772_366_400_000_000_000
PARTITIONS = 2


@dataclass(frozen=True)
class Sent:
    """One message. Units: `at_s` seconds after START_NS."""

    topic: str
    payload: bytes
    at_s: float = 0.0
    flags: int = 1


class BookFleet:
    """The registry that belongs to a ledger in memory: whoever was discovered is known."""

    def __init__(self, books: LedgerBooks) -> None:
        self._books = books

    def version(self) -> int:
        return self._books.registry_version

    def profiles(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], DeviceProfile]:
        known = self._books.devices
        return {
            (family, device_id): DeviceProfile(
                device_id, family, fw_version=known[device_id].fw_version
            )
            if device_id in known
            else unknown(device_id, family)
            for family, device_id in keys
        }

    def changes(self, since: int) -> Changes:
        return Changes(self._books.registry_version, None)

    def close(self) -> None:
        """Nothing to release."""


@dataclass
class Rig:
    """Log, books and clock that outlive the pumps over them."""

    clock: ManualClock = field(default_factory=lambda: ManualClock(START_NS))
    log: MemoryLog = field(default_factory=lambda: MemoryLog(partitions=PARTITIONS))
    books: LedgerBooks = field(default_factory=LedgerBooks)
    limits: PumpLimits = field(default_factory=PumpLimits)

    def append(self, *messages: Sent) -> None:
        """Append one intake: a batch for each partition."""
        batches: dict[int, RawBatch] = {}
        for one in messages:
            level = -1 if one.topic.startswith("sensors/") else 1
            partition = partition_of(one.topic.split("/")[level], PARTITIONS)
            batch = batches.setdefault(partition, RawBatch(partition))
            batch.add(one.topic, one.payload, at_ns(one.at_s), flags=one.flags)
        self.log.append(list(batches.values()))

    def pump(
        self,
        *,
        middle: Middle | None = None,
        ledger: Ledger | None = None,
        partitions: Sequence[int] | None = None,
    ) -> Pump:
        """Return a pump that has taken over from the one before."""
        own = MemoryLedger(self.books)
        pump = Pump(
            log=self.log,
            ledger=ledger or own,
            fleet=BookFleet(self.books),
            middle=middle or build_middle(Settings(), partitions=PARTITIONS),
            clock=self.clock,
            limits=self.limits,
        )
        latest = own.latest_pages()
        pump.start(latest, own.hot(latest[0]), partitions=partitions)
        return pump

    def run(self, *groups: Sequence[Sent], ledger: Ledger | None = None) -> "Rig":
        """Append the groups, drain after each."""
        pump = self.pump(ledger=ledger)
        for group in groups:
            self.append(*group)
            pump.drain()
        return self


def at_ns(at_s: float) -> int:
    return START_NS + round(at_s * 1e9)


def stored(books: LedgerBooks) -> dict[str, Any]:
    """Return everything that a ledger holds, with names in place of numbers."""
    names = {number: tuple(key) for key, number in books.series.items()}
    bodies = {number: body for body, number in books.attributes.items()}
    readings = []
    for batch in books.hot:
        for row in open_hot(batch.frame).to_pylist():
            series, attributes = names[row.pop("series_id")], bodies[row.pop("attr_id")]
            readings.append((series, row["position"], row["time_ns"], attributes, repr(row)))
    numbers = count()
    events = sorted(
        (row.position, next(numbers), row.family, row.event.type, row.event.time_ns,
         row.event.flags, repr(row.event.data), row.received_at_ns)
        for row in books.events
    )  # fmt: skip
    return {
        "readings": sorted(readings),
        "events": [(place, *rest) for place, _, *rest in events],
        "letters": sorted(
            (key, row.letter.detail, row.letter.index, row.payload)
            for key, row in books.letters.items()
        ),
        "counts": dict(books.counts),
        "series": sorted(books.series),
        "attributes": sorted(books.attributes),
        "devices": sorted(books.devices),
    }
