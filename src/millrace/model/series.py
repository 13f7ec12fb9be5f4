"""Series and the book that gives each a small local number.

Codecs never see the ids of a store. They ask the book once for a *slot*, keep it in their plan and
write readings against it; the record step turns whole columns of slots into series ids and
attribute ids with one look-up. A slot stays valid for the life of the process.
Source: architecture.md 1, D-23, D-24.
"""

from array import array
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from millrace.errors import RejectError

# Versions of unit and attributes that one series may have in the life of a process.
MAX_VERSIONS = 64


class SeriesKey(NamedTuple):
    """Identity of a series."""

    device_id: str
    metric: str
    channel: str


class Slot(NamedTuple):
    """What a slot number stands for: a series, with one version of its unit and attributes."""

    key: SeriesKey
    unit: str | None
    attributes: str


class Slots(Protocol):
    """What a codec needs of the book."""

    def slot(
        self,
        device_id: str,
        metric: str,
        channel: str = "",
        *,
        unit: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> int:
        """Return the slot of a series with this unit and these attributes.

        Raises:
            RejectError: `cardinality`, the device has as many series as it may have.
        """
        ...


_encode = msgspec.json.Encoder(order="sorted").encode


class SeriesBook:
    """Gives out slots, and remembers which series and attribute ids the ledger gave them.

    At most `max_per_device` series of a device and `max_total` in all are admitted (MTR-045, F41).
    Ids are None-free integers: -1 means that the ledger has not named it yet. Ids are cached only
    after the commit that created them (D-24), so a rolled-back commit leaves no trace.
    """

    def __init__(self, max_per_device: int = 1000, max_total: int = 1_000_000) -> None:
        self.max_per_device = max_per_device
        self.max_total = max_total
        self._total = 0
        self.slots: list[Slot] = []
        self.series_ids = array("q")
        self.attr_ids = array("q")
        self._by_slot: dict[Slot, int] = {}
        self._known_series: dict[SeriesKey, int] = {}
        self._known_attributes: dict[str, int] = {}
        self._per_device: dict[str, set[tuple[str, str]]] = {}
        self._versions: dict[SeriesKey, int] = {}

    def slot(
        self,
        device_id: str,
        metric: str,
        channel: str = "",
        *,
        unit: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> int:
        """Return the slot of a series; see `Slots.slot`."""
        key = SeriesKey(device_id, metric, channel)
        body = {**attributes, "unit": unit} if attributes else {"unit": unit}
        name = Slot(key, unit, _encode(body).decode())
        number = self._by_slot.get(name)
        if number is None and self._versions.get(key, 0) >= MAX_VERSIONS:
            # A device that changes its attributes all the time must not fill the memory: what it
            # says of itself from here on stays in the raw message only.
            name = Slot(key, unit, _encode({"unit": unit}).decode())
            number = self._by_slot.get(name)
        return self._add(name) if number is None else number

    def _add(self, name: Slot) -> int:
        self._admit(name.key)
        self._versions[name.key] = self._versions.get(name.key, 0) + 1
        number = self._by_slot[name] = len(self.slots)
        self.slots.append(name)
        self.series_ids.append(self._known_series.get(name.key, -1))
        self.attr_ids.append(self._known_attributes.get(name.attributes, -1))
        return number

    def learn_series(self, rows: Iterable[tuple[SeriesKey, int]]) -> None:
        """Remember ids that the ledger holds or has just committed."""
        for key, series_id in rows:
            self._known_series[key] = series_id
            mine = self._per_device.setdefault(key.device_id, set())
            self._total += (key.metric, key.channel) not in mine
            mine.add((key.metric, key.channel))

    def learn_attributes(self, rows: Iterable[tuple[str, int]]) -> None:
        """Remember attribute ids that the ledger holds or has just committed."""
        self._known_attributes.update(rows)

    def name_slots(self, numbers: Iterable[int]) -> None:
        """Fill in the ids of these slots from what was learnt."""
        for number in numbers:
            slot = self.slots[number]
            self.series_ids[number] = self._known_series.get(slot.key, -1)
            self.attr_ids[number] = self._known_attributes.get(slot.attributes, -1)

    def _admit(self, key: SeriesKey) -> None:
        mine = self._per_device.setdefault(key.device_id, set())
        name = (key.metric, key.channel)
        if name in mine:
            return
        if len(mine) >= self.max_per_device:
            raise RejectError("cardinality", f"the device already has {self.max_per_device} series")
        if self._total >= self.max_total and key not in self._known_series:
            raise RejectError("cardinality", f"there are already {self.max_total} series")
        mine.add(name)
        self._total += 1
