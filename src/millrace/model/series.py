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
    """What a slot number stands for: a series, with one version of its unit and attributes.

    `attributes` is JSON text; it is empty once the ledger has named series and attributes.
    """

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


# Attribute bodies whose ids are remembered for slots to come; forgotten ones are asked for again.
MAX_BODIES = 65_536

_encode = msgspec.json.Encoder(order="sorted").encode


class _Known:
    """What is known of one series: its id, and its slots by the hash of what they stand for."""

    __slots__ = ("series_id", "versions")

    def __init__(self) -> None:
        self.series_id = -1
        self.versions: tuple[tuple[int, int], ...] = ()

    def number(self, version: int) -> int | None:
        """Return the slot of a version."""
        for known, number in self.versions:
            if known == version:
                return number
        return None


class SeriesBook:
    """Gives out slots, and remembers which series and attribute ids the ledger gave them.

    At most `max_per_device` series of a device and `max_total` in all are admitted (MTR-045, F41).
    Ids are None-free integers: -1 means that the ledger has not named it yet. Ids are cached only
    after the commit that created them (D-24), so a rolled-back commit leaves no trace. There may be
    a million series, so each is kept once, and no longer than needed: a slot that is named has no
    attributes any more.
    """

    def __init__(self, max_per_device: int = 1000, max_total: int = 1_000_000) -> None:
        self.max_per_device = max_per_device
        self.max_total = max_total
        self.slots: list[Slot] = []
        self.series_ids = array("q")
        self.attr_ids = array("q")
        self._series: dict[SeriesKey, _Known] = {}
        self._per_device: dict[str, int] = {}
        self._bodies: dict[str, int] = {}

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
        text = _encode(body).decode()
        known = self._series.get(key)
        if known is None:
            return self._add(Slot(key, unit, text), self._admit(key))
        number = known.number(hash(text))
        if number is None and len(known.versions) >= MAX_VERSIONS:
            # A device that changes what it says of itself all the time must not fill the memory:
            # from here on new units and attributes stay in the raw message only.
            return known.versions[0][1]
        return self._add(Slot(key, unit, text), known) if number is None else number

    def _add(self, slot: Slot, known: _Known) -> int:
        number = len(self.slots)
        known.versions += ((hash(slot.attributes), number),)
        self.slots.append(slot)
        self.series_ids.append(known.series_id)
        self.attr_ids.append(self._bodies.get(slot.attributes, -1))
        return number

    def learn_series(self, rows: Iterable[tuple[SeriesKey, int]]) -> None:
        """Remember ids that the ledger holds or has just committed."""
        for key, series_id in rows:
            known = self._series.get(key) or self._enter(key)
            known.series_id = series_id

    def learn_attributes(self, rows: Iterable[tuple[str, int]]) -> None:
        """Remember attribute ids that the ledger holds or has just committed."""
        if len(self._bodies) > MAX_BODIES:
            self._bodies.clear()
        self._bodies.update(rows)

    def name_slots(self, numbers: Iterable[int]) -> None:
        """Fill in the ids of these slots from what was learnt."""
        for number in numbers:
            slot = self.slots[number]
            if not slot.attributes:
                continue
            self.series_ids[number] = self._series[slot.key].series_id
            self.attr_ids[number] = self._bodies.get(slot.attributes, -1)
            if self.series_ids[number] >= 0 and self.attr_ids[number] >= 0:
                self.slots[number] = slot._replace(attributes="")

    def _admit(self, key: SeriesKey) -> _Known:
        if self._per_device.get(key.device_id, 0) >= self.max_per_device:
            raise RejectError("cardinality", f"the device already has {self.max_per_device} series")
        if len(self._series) >= self.max_total:
            raise RejectError("cardinality", f"there are already {self.max_total} series")
        return self._enter(key)

    def _enter(self, key: SeriesKey) -> _Known:
        known = self._series[key] = _Known()
        self._per_device[key.device_id] = self._per_device.get(key.device_id, 0) + 1
        return known
