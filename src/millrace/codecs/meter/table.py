"""The series of one meter: where a (metric, unit) pair is written, and its range.

Source: meter.md section 3 (channel), MTR-039, MTR-045.
"""

from typing import NamedTuple

from millrace.model.payload import metric_name
from millrace.model.series import Slots
from millrace.model.units import METER_METRICS, Metric


class Entry(NamedTuple):
    """`slot` is written to; `series` is equal for entries of one series; bounds are good values."""

    slot: int
    series: int
    low: float
    high: float


class SeriesTable:
    """Entries by metric and unit, filled as they turn up; the limit on series bounds it."""

    def __init__(self, device_id: str, slots: Slots) -> None:
        self._device_id = device_id
        self._slots = slots
        self._numbers: dict[tuple[str, str], int] = {}
        self.known: dict[tuple[str, str | None], Entry] = {}

    def entry(self, metric: str, unit: str | None) -> Entry:
        """Return the entry of a metric in a unit, which `unit_text` has passed.

        Raises:
            RejectError: `bad_type` for a bad name, `cardinality` for one series too many.
        """
        found = self.known.get((metric, unit))
        if found is None:
            found = self.known[metric, unit] = self._open(metric_name(metric), unit)
        return found

    def _open(self, metric: str, unit: str | None) -> Entry:
        registered = METER_METRICS.get(metric)
        is_plain = unit is None or (registered is not None and unit == registered.unit)
        channel = "" if is_plain or unit is None else unit
        slot = self._slots.slot(self._device_id, metric, channel, unit=unit)
        # A range is stated in the registered unit and says nothing about any other.
        _, low, high = registered if registered is not None and is_plain else Metric(None)
        number = self._numbers.setdefault((metric, channel), len(self._numbers))
        return Entry(slot, number, low, high)
