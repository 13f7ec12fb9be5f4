"""Questions over readings as rows, which are there as soon as they are committed.

Any thread may ask; each question is one transaction on one of a few connections, with a bound on
how long it may take. There is nothing to take in: `refresh` only tells the newest commit.
Source: D-31, D-53; API-030 to API-033; A24.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from millrace.adapters.series_postgres.aggregates import Windows, open_engine
from millrace.adapters.series_postgres.exporting import export_pages
from millrace.adapters.series_postgres.statements import (
    LATEST,
    LATEST_OF_ALL,
    SUMMARY,
    Stretch,
    as_int64,
    ask_readings,
    id_array,
    instant,
    page_sql,
    stretch_of,
)
from millrace.ports.series import READING_SCHEMA, Every, Span
from millrace.store_postgres.arrays import ask_columns
from millrace.store_postgres.questions import one_row
from millrace.store_postgres.session import Sessions

QUESTION_S: Final = 5
# A page of an export has many readings; it waits for the server only, never for its reader.
EXPORT_S: Final = 30


class PostgresQuery:
    """The asking end. See `ports.series.SeriesQuery`."""

    def __init__(self, url: str, *, connections: int = 4) -> None:
        self._sessions = Sessions(url, connections, name="millrace-query", timeout_s=QUESTION_S)
        self._exports = Sessions(url, connections, name="millrace-export", timeout_s=EXPORT_S)
        self._engine = open_engine()

    def refresh(self) -> int:
        with self._sessions.transaction() as db:
            return int(one_row(db, "SELECT last_id FROM commits")[0])

    def raw(
        self,
        series_ids: Sequence[int],
        span: Span,
        *,
        limit: int,
        descending: bool = False,
        after: tuple[int, int] | None = None,
    ) -> pa.Table:
        stretch = stretch_of(span)
        ids = id_array(np.unique(np.asarray(series_ids, np.int64)))
        values: dict[str, Any] = {"ids": ids, "limit": limit}
        if after is not None:
            after_us = int(after[0]) // 1000
            values |= {"after": instant(after_us), "after_id": int(after[1])}
            stretch = _behind(stretch, after_us, descending=descending)
        if stretch.start_us >= stretch.stop_us:
            return READING_SCHEMA.empty_table()
        query = page_sql(descending=descending, is_resumed=after is not None)
        with self._sessions.transaction() as db:
            return ask_readings(db, query, {**values, **stretch.values()})

    def aggregate(
        self,
        series_ids: Sequence[int],
        span: Span,
        every: Every,
        functions: Sequence[str],
        *,
        limit: int,
    ) -> pa.Table:
        windows = Windows(every, functions, limit)
        with self._sessions.transaction("REPEATABLE READ") as db:
            return windows.answer(db, self._engine, series_ids, stretch_of(span))

    def latest(self, series_ids: Sequence[int] | None = None) -> pa.Table:
        with self._sessions.transaction() as db:
            if series_ids is None:
                return ask_readings(db, LATEST_OF_ALL, {})
            return ask_readings(db, LATEST, {"ids": id_array(series_ids)})

    def summary(self, series_ids: Sequence[int]) -> pa.Table:
        ids = id_array(np.unique(np.asarray(series_ids, np.int64)))
        with self._sessions.transaction() as db:
            series, first_us, last_us, count = ask_columns(db, SUMMARY, {"ids": ids})
        return pa.table(
            {
                "series_id": as_int64(series),
                "first_ns": as_int64(first_us * 1000),
                "last_ns": as_int64(last_us * 1000),
                "count": as_int64(count),
            }
        )

    def export(self, series_ids: Sequence[int], span: Span) -> Iterator[pa.RecordBatch]:
        yield from export_pages(self._exports, series_ids, stretch_of(span))

    def close(self) -> None:
        """End all connections; a second call does nothing."""
        self._sessions.close()
        self._exports.close()
        self._engine.close()


def _behind(stretch: Stretch, after_us: int, *, descending: bool) -> Stretch:
    """Return what is left of a stretch behind a place; the instant itself may have more."""
    if descending:
        return Stretch(stretch.start_us, min(stretch.stop_us, after_us + 1))
    return Stretch(max(stretch.start_us, after_us), stretch.stop_us)
