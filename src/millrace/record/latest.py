"""The newest value of every series, by its own time, in arrays indexed by series id.

Kept beside the ledger by the pump and stored page by page, so that a reader that starts up knows
the last value of a series whose readings were sealed long ago.
Source: D-21, API-031.
"""

from collections.abc import Iterable

import numpy as np

from millrace.model.columns import IntColumn
from millrace.model.latest_page import NEVER, ROW
from millrace.model.work import LatestPage, Readings

PAGE_BITS = 12
PAGE_SIZE = 1 << PAGE_BITS


class LatestTable:
    """Newest reading of each series. Rows that were never written have no time."""

    def __init__(self) -> None:
        self._rows = np.zeros(PAGE_SIZE, ROW)
        self._rows["time_ns"] = NEVER
        self._dirty: set[int] = set()

    def update(self, readings: Readings) -> None:
        """Take in readings in commit order; of equal times the later one wins."""
        if not len(readings):
            return
        order = np.lexsort((readings.time_ns, readings.series))
        series = readings.series[order]
        last = order[np.flatnonzero(np.append(series[1:] != series[:-1], True))]
        self._reserve(int(readings.series.max()))
        newest = last[readings.time_ns[last] >= self._rows["time_ns"][readings.series[last]]]
        ids = readings.series[newest]
        rows = np.empty(len(newest), ROW)
        rows["time_ns"], rows["value"] = readings.time_ns[newest], readings.value[newest]
        rows["attr"], rows["flags"] = readings.attr[newest], readings.flags[newest]
        self._rows[ids] = rows
        self._dirty.update(np.unique(ids >> PAGE_BITS).tolist())

    def dirty_pages(self) -> list[LatestPage]:
        """Return the pages that changed since the last call, in page order."""
        pages = [LatestPage(page, self._page(page).tobytes()) for page in sorted(self._dirty)]
        self._dirty.clear()
        return pages

    def load(self, pages: Iterable[LatestPage]) -> None:
        """Take in stored pages."""
        for page in pages:
            self._reserve((page.page + 1) * PAGE_SIZE - 1)
            self._page(page.page)[:] = np.frombuffer(page.frame, ROW)

    def _page(self, page: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        return self._rows[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]

    def _reserve(self, series_id: int) -> None:
        if series_id < len(self._rows):
            return
        size = (max(series_id + 1, len(self._rows) * 2) + PAGE_SIZE - 1) & -PAGE_SIZE
        rows = np.zeros(size, ROW)
        rows["time_ns"] = NEVER
        rows[: len(self._rows)] = self._rows
        self._rows = rows


def open_page(page: LatestPage) -> tuple[IntColumn, np.ndarray[tuple[int], np.dtype[np.void]]]:
    """Return the series ids of a page that have a value, and their rows."""
    rows = np.frombuffer(page.frame, ROW)
    held = np.flatnonzero(rows["time_ns"] != NEVER)
    return held + page.page * PAGE_SIZE, rows[held]
