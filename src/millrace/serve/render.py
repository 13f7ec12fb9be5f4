"""Rendering: Arrow tables of readings into the JSON shapes of the API.

What has many rows is rendered in the query thread, because it takes longer than the event loop may
wait.
Source: API-030 to API-035.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from millrace.model import quality
from millrace.ports.registry import SeriesRow
from millrace.serve.instants import format_instant

Units = Mapping[int, str | None]


def points(table: pa.Table, series: Mapping[int, SeriesRow], units: Units) -> list[dict[str, Any]]:
    """Return the members of API-030 for each row of a table of readings."""
    names = ("series_id", "time_ns", "value", "flags", "attr_id")
    rows = zip(*(table.column(name).to_numpy().tolist() for name in names), strict=True)
    found = []
    # Whole fleets are late alike, so few combinations of marks occur.
    marks: dict[int, list[str]] = {0: []}
    for series_id, time_ns, value, flags, attr_id in rows:
        if flags not in marks:
            marks[flags] = quality.names(flags)
        row = series[series_id]
        device_id, metric, channel = row.key
        unit = units.get(attr_id)
        found.append(
            {
                "time": format_instant(time_ns),
                "device_id": device_id,
                "metric": metric,
                "channel": channel,
                "value": value,
                "unit": row.unit if unit is None else unit,
                "quality": marks[flags],
            }
        )
    return found


def unit_of(row: SeriesRow, units: Units, attr_id: int) -> str | None:
    """Return the unit of a reading: that of its attributes, else that of its series."""
    unit = units.get(attr_id)
    return row.unit if unit is None else unit


def distinct(column: pa.ChunkedArray) -> list[int]:
    """Return the different integers of a column."""
    found: list[int] = column.unique().to_pylist()
    return found


def windows(
    table: pa.Table, functions: Sequence[str]
) -> dict[int, list[tuple[int, dict[str, Any]]]]:
    """Return the windows of each series in order of time: (start, function -> value)."""
    found: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    columns = [table.column(name).to_pylist() for name in functions]
    ids, times = table.column("series_id").to_pylist(), table.column("time_ns").to_pylist()
    for series_id, time_ns, *values in zip(ids, times, *columns, strict=True):
        found.setdefault(series_id, []).append((time_ns, dict(zip(functions, values, strict=True))))
    return found


def filled(
    rows: list[tuple[int, dict[str, Any]]], starts: Iterable[int], functions: Sequence[str]
) -> list[tuple[int, dict[str, Any]]]:
    """Return the rows with an empty window for each start that has none (`fill=null`)."""
    empty = dict.fromkeys(functions)
    by_start: dict[int, dict[str, Any]] = dict.fromkeys(starts, empty)
    by_start.update(rows)
    return sorted(by_start.items(), key=lambda item: item[0])


def window_points(rows: list[tuple[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the `points` of one aggregated series."""
    return [{"time": format_instant(time_ns), **values} for time_ns, values in rows]


def field_name(row: SeriesRow) -> str:
    """Return the field of API-035: the metric, with its channel if it has one."""
    return f"{row.key.metric}.{row.key.channel}" if row.key.channel else row.key.metric
