"""What one query sees: a version of the table, and the hot readings that it does not hold yet.

Source: D-31.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from millrace.adapters.series_delta.files import DAY_US, Columns, DataFile
from millrace.adapters.series_delta.hot import HotRun, Ids, hot_rows

# Before and after every instant that a reading can have.
ALWAYS_US = (-(2**62), 2**62)


@dataclass(frozen=True, slots=True)
class View:
    """Immutable: files sorted by date, and hot runs behind `sealed_through`."""

    root: Path
    files: tuple[DataFile, ...] = ()
    hot: tuple[HotRun, ...] = ()
    sealed_through: int = 0
    newest_id: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """Series (ascending, None for all) and a half-open span in UTC microseconds."""

    ids: Ids | None
    first_us: int
    stop_us: int


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the readings of a selection are.

    `clean` files hold no reading that another source also holds. `mixed` may overlap each other,
    later commits later in the list; `is_hot_mixed` says that hot readings may replace some of them.
    """

    clean: tuple[DataFile, ...]
    mixed: tuple[DataFile, ...]
    hot: Columns
    is_hot_mixed: bool


def sources(view: View, selection: Selection) -> Sources:
    """Return where the readings of a selection are, told from statistics alone."""
    hot = hot_rows(view.hot, selection.ids, selection.first_us, selection.stop_us)
    hot_spans = _spans_by_day(hot)
    clean: list[DataFile] = []
    mixed: list[DataFile] = []
    is_hot_mixed = False
    for day, of_day in groupby(_candidates(view, selection), lambda file: file.day):
        for group, (low, high) in _overlapping(list(of_day)):
            span = hot_spans.get(day)
            meets_hot = span is not None and span[0] <= high and span[1] >= low
            runs = {file.run for file in group}
            (clean if len(runs) == 1 and not meets_hot else mixed).extend(group)
            is_hot_mixed |= meets_hot
    mixed.sort(key=lambda file: (file.day, file.run.last_batch_id, file.run.merges))
    return Sources(tuple(clean), tuple(mixed), hot, is_hot_mixed)


def days_of(view: View, selection: Selection) -> list[int]:
    """Return the days that may hold readings of a selection, ascending."""
    hot = hot_rows(view.hot, selection.ids, selection.first_us, selection.stop_us)
    days = {file.day for file in _candidates(view, selection)}
    days.update(np.unique(np.floor_divide(hot.time_us, DAY_US)).tolist())
    return sorted(days)


def extent(view: View, selection: Selection) -> Selection:
    """Return a selection cut to the span in which there are files or hot readings."""
    files = _candidates(view, selection)
    low = min([one.first_us for one in files] + [one.first_us for one in view.hot], default=0)
    high = max([one.last_us for one in files] + [one.last_us for one in view.hot], default=0)
    return Selection(selection.ids, max(selection.first_us, low), min(selection.stop_us, high + 1))


def rows_per_series(view: View, selection: Selection) -> float:
    """Return about how many readings each series of a selection has."""
    files = _candidates(view, selection)
    most = max((file.last_series - file.first_series + 1 for file in files), default=1)
    hot = sum(len(run.rows) for run in view.hot)
    return (sum(file.rows for file in files) + hot) / max(1, most)


def _candidates(view: View, selection: Selection) -> list[DataFile]:
    ids = selection.ids
    if ids is not None and not len(ids):
        return []
    return [
        file
        for file in view.files
        if file.last_us >= selection.first_us
        and file.first_us < selection.stop_us
        and (ids is None or _has_any(ids, file.first_series, file.last_series))
    ]


def _has_any(ids: Ids, first: int, last: int) -> bool:
    at = int(np.searchsorted(ids, first))
    return at < len(ids) and bool(ids[at] <= last)


def _overlapping(files: list[DataFile]) -> list[tuple[list[DataFile], tuple[int, int]]]:
    """Return groups of files of one day whose spans touch, with the span of each group."""
    groups: list[tuple[list[DataFile], tuple[int, int]]] = []
    for file in sorted(files, key=lambda one: one.first_us):
        if groups and file.first_us <= groups[-1][1][1]:
            members, (low, high) = groups[-1]
            members.append(file)
            groups[-1] = (members, (low, max(high, file.last_us)))
        else:
            groups.append(([file], (file.first_us, file.last_us)))
    return groups


def _spans_by_day(rows: Columns) -> dict[int, tuple[int, int]]:
    days = np.floor_divide(rows.time_us, DAY_US)
    return {
        int(day): (int(rows.time_us[days == day].min()), int(rows.time_us[days == day].max()))
        for day in np.unique(days)
    }


def span_of_days(days: Sequence[int], selection: Selection) -> Selection:
    """Return a selection cut to the span of some consecutive days."""
    low, high = min(days) * DAY_US, (max(days) + 1) * DAY_US
    return Selection(selection.ids, max(selection.first_us, low), min(selection.stop_us, high))
