"""The questions to `readings`, and their answers as tables.

A series has its readings in the order of time by the key, so each question goes series by series
and never reads more than it answers. Answers come as one array a column; see
`store_postgres.arrays`. Instants are UTC microseconds in here, nanoseconds at the port.
Source: D-12, D-53, API-030 to API-033.
"""

# ruff: noqa: S608 (statements are composed here, of fixed texts only)

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from psycopg import Connection

from millrace.ports.series import READING_SCHEMA, Span
from millrace.store_postgres.arrays import INSTANT, INT4, Array, Column, ask_columns

Connected = Connection[Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS: Final = ("series_id", "time", "value", "flags", "attr_id")
_NAMES: Final = ", ".join(f"r.{name}" for name in _COLUMNS)
_ARRAYS: Final = ", ".join(f"array_agg({name})" for name in _COLUMNS)
_EACH: Final = "unnest(%(ids)s) AS n (id) CROSS JOIN LATERAL"
_INSIDE: Final = "r.series_id = n.id AND r.time >= %(start)s AND r.time < %(stop)s"
_NEWEST: Final = f"""(SELECT {_NAMES} FROM readings r WHERE r.series_id = n.id
    ORDER BY r.time DESC LIMIT 1) r"""

LATEST: Final = f"""SELECT {_ARRAYS} FROM (SELECT {_NAMES}
    FROM unnest(%(ids)s) WITH ORDINALITY AS n (id, place) CROSS JOIN LATERAL {_NEWEST}
    ORDER BY n.place) r"""
LATEST_OF_ALL: Final = f"""SELECT {_ARRAYS} FROM (SELECT {_NAMES}
    FROM (SELECT series_id AS id FROM series) n CROSS JOIN LATERAL {_NEWEST}
    ORDER BY n.id) r"""
SUMMARY: Final = f"""SELECT array_agg(id), array_agg(first), array_agg(last), array_agg(count)
    FROM (SELECT n.id, r.* FROM {_EACH} (SELECT min(r.time) AS first, max(r.time) AS last,
    count(*) AS count FROM readings r WHERE r.series_id = n.id) r
    WHERE r.count > 0 ORDER BY n.id) r"""
EXTENT: Final = f"""SELECT array_agg(first), array_agg(last) FROM (SELECT r.* FROM {_EACH}
    (SELECT min(r.time) AS first, max(r.time) AS last FROM readings r WHERE {_INSIDE}) r
    WHERE r.first IS NOT NULL) r"""
VALUES: Final = """SELECT array_agg(series_id), array_agg(time), array_agg(value) FROM readings
    WHERE series_id = ANY (%(ids)s) AND time >= %(start)s AND time < %(stop)s"""
# The starts are those of the single series; their least is given beside them to leave days out.
EXPORT: Final = f"""SELECT {_ARRAYS} FROM (SELECT {_NAMES}
    FROM unnest(%(ids)s, %(starts)s) WITH ORDINALITY AS n (id, start, place)
    CROSS JOIN LATERAL (SELECT {_NAMES} FROM readings r
    WHERE {_INSIDE} AND r.time >= n.start ORDER BY r.time LIMIT %(limit)s) r
    ORDER BY n.place, r.time LIMIT %(limit)s) r"""


class Stretch(NamedTuple):
    """Half-open span in UTC microseconds."""

    start_us: int
    stop_us: int

    def values(self) -> dict[str, Any]:
        """Return the two ends as parameters."""
        return {"start": instant(self.start_us), "stop": instant(self.stop_us)}


def stretch_of(span: Span) -> Stretch:
    """Return the microseconds that lie in a span of nanoseconds."""
    return Stretch(-(-span.start_ns // 1000), -(-span.stop_ns // 1000))


def instant(us: int) -> datetime:
    """Return an instant as a parameter."""
    return _EPOCH + timedelta(microseconds=int(us))


def id_array(series_ids: Sequence[int] | npt.NDArray[np.int64]) -> Array:
    """Return the ids that can exist at all as a parameter, in their order."""
    ids = np.asarray(series_ids, np.int64)
    return Array(INT4, ids[(ids >= 0) & (ids < 1 << 31)])


def page_sql(*, descending: bool, is_resumed: bool) -> str:
    """Return the question for the first readings of several series in order of time."""
    way = "DESC" if descending else "ASC"
    beyond = ""
    if is_resumed:
        side = "<" if descending else ">"
        beyond = f" AND (r.time <> %(after)s OR r.series_id {side} %(after_id)s)"
    return f"""SELECT {_ARRAYS} FROM (SELECT {_NAMES} FROM {_EACH} (SELECT {_NAMES}
        FROM readings r WHERE {_INSIDE}{beyond} ORDER BY r.time {way} LIMIT %(limit)s) r
        ORDER BY r.time {way}, r.series_id {way} LIMIT %(limit)s) r"""


def ask_readings(db: Connected, query: str, values: dict[str, Any]) -> pa.Table:
    """Return the readings that a question answers. Shape: `READING_SCHEMA`."""
    series, time_us, *rest = ask_columns(db, query, values)
    columns = (series, time_us * 1000, *rest)
    arrays = [
        pa.array(column.astype(field.type.to_pandas_dtype(), copy=False))
        for column, field in zip(columns, READING_SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=READING_SCHEMA)


def starts_of(instants_us: Sequence[int]) -> Array:
    """Return instants as a parameter."""
    return Array(INSTANT, np.asarray(instants_us, np.int64))


def as_int64(column: Column) -> pa.Array:
    """Return numbers as the 64-bit integers of the port."""
    return pa.array(column.astype(np.int64, copy=False))
