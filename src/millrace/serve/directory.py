"""The directory: what the numbers in live batches stand for.

Series ids only grow, so the directory follows them and asks for each once. It belongs to the event
loop; its questions are asked at the desk of their port. Which series a filter means is answered
with arrays indexed by series id, because there may be a million of them and a set of subscriptions
asks ten times a second.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from millrace.ports.live import LiveRows
from millrace.ports.registry import Registry, SeriesRow
from millrace.serve.desk import Desk

_PAGE = 10_000
_MAX_UNITS = 100_000
_FIRST_CAPACITY = 1024
_NOBODY = -1

_Numbers = npt.NDArray[np.int32]


class SeriesDirectory:
    """Names of series and units of attributes, learnt on demand."""

    def __init__(
        self, rows: LiveRows, rows_desk: Desk, registry: Registry, registry_desk: Desk
    ) -> None:
        self.newest = 0
        self._rows = rows
        self._rows_desk = rows_desk
        self._registry = registry
        self._registry_desk = registry_desk
        self._series: dict[int, SeriesRow] = {}
        self._devices = _Index()
        self._metrics = _Index()
        self._heads: dict[tuple[int, int], str] = {}
        self._units: dict[int, str | None] = {}

    async def follow(self, series_id: int | None = None) -> None:
        """Learn all series up to this id, or all there are."""
        while series_id is None or self.newest < series_id:
            page = await self._rows_desk.ask("list", self._rows.series_after, self.newest, _PAGE)
            for row in page:
                self._series[row.series_id] = row
                self._devices.note(row.series_id, row.key.device_id)
                self._metrics.note(row.series_id, row.key.metric)
                self.newest = max(self.newest, row.series_id)
            if not page:
                return

    async def learn_units(self, attr_ids: Iterable[int]) -> None:
        """Learn the units behind these attribute ids."""
        missing = [attr_id for attr_id in attr_ids if attr_id not in self._units]
        if not missing:
            return
        if len(self._units) + len(missing) > _MAX_UNITS:
            self._units.clear()
            self._heads.clear()
        bodies = await self._registry_desk.ask("get", self._registry.attributes, missing)
        for attr_id in missing:
            self._units[attr_id] = bodies.get(attr_id, {}).get("unit")

    async def units(self, attr_ids: Iterable[int]) -> dict[int, str | None]:
        """Return the units behind these attribute ids, asking for those that are not known."""
        asked = list(attr_ids)
        await self.learn_units(asked)
        return {attr_id: self._units.get(attr_id) for attr_id in asked}

    def mask(
        self, devices: frozenset[str], metrics: frozenset[str], start: int
    ) -> npt.NDArray[np.bool_]:
        """Return which series ids from `start` to the newest are meant; an empty side means all."""
        span = slice(start, self.newest + 1)
        meant: npt.NDArray[np.bool_] = self._devices.numbers(span) != _NOBODY
        if devices:
            meant &= np.isin(self._devices.numbers(span), self._devices.of(devices))
        if metrics:
            meant &= np.isin(self._metrics.numbers(span), self._metrics.of(metrics))
        return meant

    def unit(self, row: SeriesRow, attr_id: int) -> str | None:
        """Return the unit of a reading: that of its attributes, else that of its series."""
        unit = self._units.get(attr_id)
        return row.unit if unit is None else unit

    def head(self, series_id: int, attr_id: int) -> str:
        """Return the JSON members that all readings of a series share, or '' when unknown."""
        head = self._heads.get((series_id, attr_id))
        if head is None:
            row = self._series.get(series_id)
            if row is None:
                return ""
            members: dict[str, Any] = {**row.key._asdict(), "unit": self.unit(row, attr_id)}
            head = orjson.dumps(members)[:-1].decode()
            if len(self._heads) > 2 * _MAX_UNITS:
                self._heads.clear()
            self._heads[series_id, attr_id] = head
        return head


class _Index:
    """A small number for each name, and an array of them by series id."""

    def __init__(self) -> None:
        self._number_of: dict[str, int] = {}
        self._by_series: _Numbers = np.full(_FIRST_CAPACITY, _NOBODY, np.int32)

    def note(self, series_id: int, name: str) -> None:
        if series_id >= len(self._by_series):
            grown = np.full(max(series_id + 1, 2 * len(self._by_series)), _NOBODY, np.int32)
            grown[: len(self._by_series)] = self._by_series
            self._by_series = grown
        self._by_series[series_id] = self._number_of.setdefault(name, len(self._number_of))

    def numbers(self, span: slice) -> _Numbers:
        return self._by_series[span]

    def of(self, names: Iterable[str]) -> list[int]:
        return [self._number_of[name] for name in names if name in self._number_of]
