"""Aggregates: values come over in columns, and DuckDB computes them as it does for sealed files.

PostgreSQL adds in another order and with another rounding; computing here is what makes every
history answer the same. A long question is cut at window starts into parts of bounded size.
Source: D-53, API-032, F39, P10.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from millrace.adapters.series_postgres.statements import (
    EXTENT,
    VALUES,
    Connected,
    Stretch,
    as_int64,
    id_array,
)
from millrace.errors import RejectError, RetryError
from millrace.flow.aggregates import windows_sql
from millrace.flow.windows import Piece, bucket_sql, pieces
from millrace.ports.series import Every
from millrace.store_postgres.arrays import Column, ask_columns

FIRST_PART_US: Final = 86_400_000_000
FEW_ROWS: Final = 500_000
MANY_ROWS: Final = 2_000_000


def open_engine() -> duckdb.DuckDBPyConnection:
    """Return a database in memory, bounded, with no extensions from outside and no spilling."""
    return duckdb.connect(
        ":memory:",
        config={
            "threads": 2,
            "memory_limit": "512MiB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "temp_directory": "",
        },
    )


class Windows:
    """One question for aggregates. Raises UsageError for windows or functions that do not exist."""

    def __init__(self, every: Every, functions: Sequence[str], limit: int) -> None:
        self._every = every
        self._functions = functions
        self._limit = limit
        # Faults of the question are told before anything is asked.
        self._question("0")
        pieces(every, 0, 0)

    def answer(
        self,
        db: Connected,
        engine: duckdb.DuckDBPyConnection,
        series_ids: Sequence[int],
        stretch: Stretch,
    ) -> pa.Table:
        """Return one row per series and window, ordered by (series, time).

        Raises:
            RejectError: `too_many_points`.
            RetryError: One window alone is too much for the memory that there is.
        """
        found: list[pa.Table] = []
        inside = _extent(db, series_ids, stretch)
        widths = pieces(self._every, *inside)
        question = self._question(bucket_sql(widths, "t"))
        for rows in _parts(db, series_ids, inside, widths):
            found.append(_asked(engine, rows, question))
            if sum(map(len, found)) > self._limit:
                raise RejectError(
                    "too_many_points", f"more than {self._limit} windows have readings"
                )
        if not found:
            found = [_asked(engine, _values([np.empty(0)] * 3), question)]
        answer = pa.concat_tables(found)
        return answer.sort_by([("series_id", "ascending"), ("time_ns", "ascending")])

    def _question(self, bucket: str) -> str:
        return windows_sql(bucket, self._functions, self._limit + 1)


def _extent(db: Connected, series_ids: Sequence[int], stretch: Stretch) -> Stretch:
    """Return a stretch cut to where there are readings; an empty one when there are none."""
    values = {"ids": id_array(series_ids), **stretch.values()}
    first, last = ask_columns(db, EXTENT, values)
    return Stretch(int(first.min()), int(last.max()) + 1) if len(first) else Stretch(0, 0)


def _parts(
    db: Connected, series_ids: Sequence[int], inside: Stretch, widths: Sequence[Piece]
) -> Iterator[pa.Table]:
    """Yield the values of a stretch part by part; no window is in two parts."""
    ids, at_us, step_us = id_array(series_ids), inside.start_us, FIRST_PART_US
    while at_us < inside.stop_us:
        stop_us = min(_next_start(widths, at_us + step_us), inside.stop_us)
        values = {"ids": ids, **Stretch(at_us, stop_us).values()}
        rows = _values(ask_columns(db, VALUES, values))
        if len(rows) < FEW_ROWS:
            step_us *= 2
        elif len(rows) > MANY_ROWS:
            step_us = max(1, step_us // 4)
        at_us = stop_us
        if len(rows):
            yield rows


def _next_start(widths: Sequence[Piece], at_us: int) -> int:
    """Return the first start of a window at or behind an instant."""
    piece = widths[0]
    for following in widths[1:]:
        if following.start_us > at_us:
            break
        piece = following
    steps = -((piece.start_us - at_us) // piece.width_us)
    start_us = piece.start_us + steps * piece.width_us
    later = [one.start_us for one in widths if at_us <= one.start_us < start_us]
    return min(later, default=start_us)


def _values(columns: Sequence[Column]) -> pa.Table:
    series, time_us, value = columns
    return pa.table(
        {
            "series_id": as_int64(series),
            "time": as_int64(time_us).cast(pa.timestamp("us", "UTC")),
            "value": pa.array(value.astype(np.float64, copy=False)),
        }
    )


def _asked(engine: duckdb.DuckDBPyConnection, rows: pa.Table, question: str) -> pa.Table:
    cursor = engine.cursor()
    try:
        cursor.register("readings", rows)
        return cursor.sql(question).to_arrow_table()
    except duckdb.OutOfMemoryException as error:
        raise RetryError(f"the question needs too much memory: {error}") from error
    finally:
        cursor.close()
