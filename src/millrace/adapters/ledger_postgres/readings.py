"""Readings into their table: by COPY as a rule, and merged where some are there already.

Rows are sorted as the key is, so that the index is filled in runs. Of two readings of one series
and microsecond in a commit the later stays; of two commits the later wins. A merge looks up what is
there, replaces what differs and copies the rest. Whoever puts a row in between makes the copy fail,
and then every row is upserted for itself.
Source: D-12, D-23.
"""

from typing import Any, Final

import numpy as np
from psycopg import Connection, errors

from millrace.model.work import Readings
from millrace.store_postgres.arrays import (
    COPY_READINGS,
    FLOAT8,
    INSTANT,
    INT2,
    INT4,
    Array,
    Column,
    ask_columns,
    copy_rows,
)
from millrace.store_postgres.days import DAY_US

# Late and repeated readings come in runs: after one conflict this many commits look first.
PATIENCE: Final = 16

_KINDS: Final = (INT4, INSTANT, FLOAT8, INT2, INT4)
# Keys are looked up one by one; the planner would rather read whole days.
_BY_KEY: Final = (
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;"
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"
)
_WITHIN: Final = "r.time BETWEEN to_timestamp(%s) AND to_timestamp(%s)"
_THERE: Final = f"""SELECT array_agg(n.place), array_agg(r.value), array_agg(r.flags),
    array_agg(r.attr_id)
    FROM unnest(%s, %s) WITH ORDINALITY AS n (series_id, time, place)
    JOIN readings r ON r.series_id = n.series_id AND r.time = n.time AND {_WITHIN}"""  # noqa: S608
_REPLACE: Final = f"""UPDATE readings r
    SET value = n.value, flags = n.flags, attr_id = n.attr_id
    FROM unnest(%s, %s, %s, %s, %s) AS n (series_id, time, value, flags, attr_id)
    WHERE r.series_id = n.series_id AND r.time = n.time AND {_WITHIN}"""  # noqa: S608
_UPSERT: Final = """INSERT INTO readings (series_id, time, value, flags, attr_id)
    SELECT * FROM unnest(%s, %s, %s, %s, %s)
    ON CONFLICT (series_id, time) DO UPDATE
    SET value = excluded.value, flags = excluded.flags, attr_id = excluded.attr_id"""

Columns = tuple[Column, Column, Column, Column, Column]


def columns_of(readings: Readings) -> Columns:
    """Return series, time, value, flags, attribute as rows of the table, in the order of its key.

    Units: instants in UTC microseconds, cut.
    """
    time_us = np.floor_divide(readings.time_ns, 1000)
    order = np.lexsort((time_us, readings.series))
    series, time_us = readings.series[order], time_us[order]
    stays = np.ones(len(series), bool)
    stays[:-1] = (series[1:] != series[:-1]) | (time_us[1:] != time_us[:-1])
    if not stays.all():
        order, series, time_us = order[stays], series[stays], time_us[stays]
    return series, time_us, readings.value[order], readings.flags[order], readings.attr[order]


def days_of(readings: Readings) -> set[int]:
    """Return the UTC days that readings lie in, counted since 1970."""
    return set(np.unique(np.floor_divide(readings.time_ns, DAY_US * 1000)).tolist())


class ReadingRows:
    """Writes readings, and remembers which way succeeds."""

    def __init__(self) -> None:
        self._patience = 0

    def write(self, db: Connection[Any], columns: Columns, *, has_chunks: bool = False) -> None:
        """Write readings within the transaction of the caller.

        `has_chunks` is for TimescaleDB, where days may be compressed.
        """
        if self._patience:
            self._patience -= 1
        elif tried(db, columns):
            return
        else:
            self._patience = PATIENCE
        if has_chunks:
            # An UPDATE would unpack all of a compressed day, this only what it meets.
            upsert(db, columns)
        else:
            merge(db, columns)


def tried(db: Connection[Any], columns: Columns) -> bool:
    """Write readings if none of them is there; return whether they were written."""
    db.execute("SAVEPOINT readings")
    try:
        copy(db, columns)
    except errors.UniqueViolation:
        db.execute("ROLLBACK TO SAVEPOINT readings")
        return False
    return True


def copy(db: Connection[Any], columns: Columns) -> None:
    """Write readings none of which is there. Raises: UniqueViolation of the client library."""
    with db.cursor() as cursor, cursor.copy(COPY_READINGS) as stream:
        for part in copy_rows(*columns):
            stream.write(part)


def merge(db: Connection[Any], columns: Columns) -> None:
    """Write readings some of which may be there; those that are there already are left alone."""
    db.execute(_BY_KEY)
    series, time_us, value, flags, attr = columns
    edges = _edges(time_us)
    keys = (Array(INT4, series), Array(INSTANT, time_us), *edges)
    places, *stored = ask_columns(db, _THERE, keys)
    places -= 1
    fresh = np.ones(len(series), bool)
    fresh[places] = False
    if not len(places):
        stored = [np.empty(0, column.dtype) for column in (value, flags, attr)]
    differs = (
        (stored[0].view(np.int64) != value[places].view(np.int64))
        | (stored[1] != flags[places])
        | (stored[2] != attr[places])
    )
    changed = np.sort(places[differs])
    if len(changed):
        db.execute(_REPLACE, (*_arrays(_taken(columns, changed)), *edges))
    rest = _taken(columns, fresh)
    if len(rest[0]) and not tried(db, rest):
        upsert(db, rest)


def upsert(db: Connection[Any], columns: Columns) -> None:
    """Write readings, replacing those that are there, one by one."""
    db.execute(_UPSERT, _arrays(columns))


def _arrays(columns: Columns) -> list[Array]:
    return [Array(kind, column) for kind, column in zip(_KINDS, columns, strict=True)]


def _taken(columns: Columns, rows: Column) -> Columns:
    series, time_us, value, flags, attr = columns
    return series[rows], time_us[rows], value[rows], flags[rows], attr[rows]


def _edges(time_us: Column) -> tuple[float, float]:
    """Return seconds around all instants, by which days are left out; a second off on each side."""
    return float(time_us.min()) / 1e6 - 1, float(time_us.max()) / 1e6 + 1
