"""Cutting a question into parts that are answered one after the other.

A page of raw readings is looked for day by day, a doubling number of days at a time, so that the
first thousand of ten years cost no more than the days that hold them. An export goes by groups of
series that fit into memory, and so does what is asked of readings of which some replace others.
Source: API-030, API-033.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from millrace.adapters.series_delta.view import (
    Selection,
    View,
    days_of,
    rows_per_series,
    sources,
    span_of_days,
)

_MAX_EXPORT_ROWS = 1_000_000


def page_filter(
    wanted: Selection, after: tuple[int, int] | None, *, descending: bool
) -> tuple[Selection, str]:
    """Return what is left of a selection behind a place, and the SQL condition for its edge."""
    if after is None:
        return wanted, "true"
    time_us, series_id = int(after[0]) // 1000, int(after[1])
    if descending:
        rest = Selection(wanted.ids, wanted.first_us, min(wanted.stop_us, time_us + 1))
        beyond = f"series_id < {series_id}"
    else:
        rest = Selection(wanted.ids, max(wanted.first_us, time_us), wanted.stop_us)
        beyond = f"series_id > {series_id}"
    return rest, f"(time <> make_timestamptz({time_us}) OR {beyond})"


def day_groups(view: View, wanted: Selection, *, descending: bool) -> Iterator[Selection]:
    """Yield parts of a selection in order of time: one day, two, four, ..."""
    days = days_of(view, wanted)
    if descending:
        days.reverse()
    start, count = 0, 1
    while start < len(days):
        yield span_of_days(days[start : start + count], wanted)
        start, count = start + count, count * 2


def id_groups(
    view: View, wanted: Selection, series_ids: Sequence[int]
) -> Iterator[tuple[list[int], Iterator[Selection]]]:
    """Yield groups of ids in the order asked, each with the parts that make it up."""
    asked = list(dict.fromkeys(int(one) for one in series_ids))
    each = rows_per_series(view, wanted)
    count = max(1, int(_MAX_EXPORT_ROWS / max(each, 1.0)))
    for start in range(0, len(asked), count):
        ids = asked[start : start + count]
        part = Selection(np.array(sorted(ids), np.int64), wanted.first_us, wanted.stop_us)
        has_many = each > _MAX_EXPORT_ROWS
        yield ids, _days(view, part) if has_many else iter([part])


def mixed_groups(view: View, wanted: Selection, max_rows: int) -> Iterator[Selection]:
    """Yield parts of a selection, ids ascending, each with some `max_rows` overlapping readings."""
    ids = wanted.ids
    if ids is None or rows_per_series(view, wanted) * len(ids) <= max_rows:
        yield wanted
        return
    found = sources(view, wanted)
    rows = sum(file.rows for file in found.mixed) + found.is_hot_mixed * len(found.hot)
    most = max((file.last_series - file.first_series + 1 for file in found.mixed), default=1)
    count = max(1, int(max_rows * most / max(rows, 1)))
    for start in range(0, len(ids), count):
        yield Selection(ids[start : start + count], wanted.first_us, wanted.stop_us)


def _days(view: View, part: Selection) -> Iterator[Selection]:
    for day in days_of(view, part):
        yield span_of_days([day], part)
