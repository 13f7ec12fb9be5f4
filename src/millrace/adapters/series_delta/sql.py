"""The SQL that turns the sources of a selection into rows, each (series, time) once.

Only numbers that were checked to be numbers and names from tables in this package are ever put
into a statement; everything else is a parameter.
Source: D-12, D-31, D-53.
"""

# ruff: noqa: S608 (statements are composed here, of the parts that the rule above allows)

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from millrace.adapters.series_delta.files import DataFile
from millrace.adapters.series_delta.view import Selection, Sources

READING_COLUMNS = "series_id, epoch_us(time) * 1000 AS time_ns, value, flags, attr_id"
EXPORT_SQL = f"SELECT {READING_COLUMNS} FROM readings ORDER BY series_id, time"
SUMMARY_SQL = """SELECT series_id, min(epoch_us(time)) * 1000 AS first_ns,
    max(epoch_us(time)) * 1000 AS last_ns, count(*) AS count
    FROM readings GROUP BY series_id ORDER BY series_id"""
NEWEST_SQL = """SELECT series_id, max(epoch_us(time)) * 1000 AS time_ns,
    arg_max(value, time) AS value, arg_max(flags, time) AS flags,
    arg_max(attr_id, time) AS attr_id
    FROM readings GROUP BY series_id"""

_MAX_LISTED_IDS = 256
_HOT_RANK = 1 << 40


@dataclass(frozen=True, slots=True)
class Rows:
    """A relation of readings: SQL, its parameters, and the table that it calls `hot`, if any."""

    sql: str
    params: dict[str, Any]
    hot: pa.Table
    reads_hot: bool


def rows_of(root: Path, found: Sources, selection: Selection, columns: Sequence[str]) -> Rows:
    """Return the relation (series_id, time, *columns) of a selection.

    Shape: `columns` are some of value, flags, attr_id.
    """
    names = ", ".join(("series_id", "time", *columns))
    where = _predicate(selection)
    parts, params = [], {}
    if found.clean:
        params["clean"] = _paths(root, found.clean)
        parts.append(f"SELECT {names} FROM {_parquet('clean')} WHERE {where}")
    if found.mixed:
        params["mixed"] = _paths(root, found.mixed)
        inner = f"SELECT {names}, file_index AS rank FROM {_parquet('mixed')} WHERE {where}"
        if found.is_hot_mixed:
            inner += f" UNION ALL SELECT {names}, {_HOT_RANK} AS rank FROM hot"
        newest = "".join(f", arg_max({name}, rank) AS {name}" for name in columns)
        parts.append(f"SELECT series_id, time{newest} FROM ({inner}) GROUP BY series_id, time")
    if len(found.hot) and not found.is_hot_mixed:
        parts.append(f"SELECT {names} FROM hot")
    if not parts:
        parts.append(f"SELECT {names} FROM hot LIMIT 0")
    reads_hot = found.is_hot_mixed or len(found.hot) > 0 or not (found.clean or found.mixed)
    return Rows(" UNION ALL ".join(parts), params, found.hot.table(), reads_hot)


def page_sql(condition: str, *, descending: bool, limit: int) -> str:
    """Return the question for the first readings that meet a condition, in order of time."""
    way = "DESC" if descending else "ASC"
    return (
        f"SELECT {READING_COLUMNS} FROM readings WHERE {condition} "
        f"ORDER BY time {way}, series_id {way} LIMIT {int(limit)}"
    )


def _parquet(name: str) -> str:
    return f"read_parquet(${name}, hive_partitioning = false)"


def _paths(root: Path, files: Sequence[DataFile]) -> list[str]:
    return [str(root / file.path) for file in files]


def _predicate(selection: Selection) -> str:
    first, stop = int(selection.first_us), int(selection.stop_us)
    spans = f"time >= make_timestamptz({first}) AND time < make_timestamptz({stop})"
    ids = selection.ids
    if ids is None:
        return spans
    if len(ids) == 1:
        return f"series_id = {int(ids[0])} AND {spans}"
    within = f"series_id BETWEEN {int(ids[0])} AND {int(ids[-1])} AND {spans}"
    if int(ids[-1]) - int(ids[0]) == len(ids) - 1:
        return within
    if len(ids) <= _MAX_LISTED_IDS:
        return f"{within} AND series_id IN ({', '.join(str(int(one)) for one in ids)})"
    return f"{within} AND series_id IN (SELECT id FROM asked)"
