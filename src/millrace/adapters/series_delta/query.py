"""Questions over sealed and hot readings, answered by DuckDB in memory.

`refresh` belongs to one thread; questions may be asked from any, each sees the view of the last
refresh. Instants are microseconds in here, nanoseconds at the port.
Source: D-31, D-32, D-53; SNS-082; B7.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.adapters.series_delta.answers import Engine
from millrace.adapters.series_delta.latest import LatestArrays
from millrace.adapters.series_delta.latest_search import LatestSearch, columns_of
from millrace.adapters.series_delta.paging import (
    day_groups,
    id_groups,
    mixed_groups,
    page_filter,
)
from millrace.adapters.series_delta.sql import (
    EXPORT_SQL,
    SUMMARY_SQL,
    page_sql,
)
from millrace.adapters.series_delta.storage import Storage, storage_of
from millrace.adapters.series_delta.tail import ViewTail
from millrace.adapters.series_delta.view import ALWAYS_US, Selection, extent
from millrace.errors import RejectError
from millrace.flow.aggregates import windows_sql
from millrace.flow.windows import bucket_sql, pieces
from millrace.ports.ledger import HotReadings
from millrace.ports.series import READING_SCHEMA, Every, Span

_ALL_COLUMNS = ("value", "flags", "attr_id")
# Some ten milliseconds of work for whoever writes them as text.
_BATCH_ROWS = 16_384


class DeltaQuery:
    """The asking end. See `ports.series.SeriesQuery`."""

    def __init__(
        self,
        place: Path | Storage,
        hot: HotReadings,
        *,
        shard: str = "ledger-0",
        latest_source: Callable[[], pa.Table] | None = None,
        memory_bytes: int = 512 << 20,
        threads: int = 2,
    ) -> None:
        storage = storage_of(place)
        self._tail = ViewTail(storage, hot, shard)
        self._engine = Engine(memory_bytes, threads, storage, lambda: self._tail.view)
        self._latest = LatestArrays()
        through_id = 0
        if latest_source is not None:
            known = latest_source()
            through_id = int((known.schema.metadata or {}).get(b"through_id", b"0"))
            self._latest.take_in(columns_of(known), through_id)
        self._search = LatestSearch(self._engine, self._latest, through_id)

    def refresh(self) -> int:
        arrived, has_missed = self._tail.advance()
        for run in arrived:
            self._latest.take_in(run.rows, run.last_batch)
        self._search.follow(self._tail.view, has_missed=has_missed)
        self._search.go_on(self._tail.view)
        return self._tail.view.newest_id

    def raw(
        self,
        series_ids: Sequence[int],
        span: Span,
        *,
        limit: int,
        descending: bool = False,
        after: tuple[int, int] | None = None,
    ) -> pa.Table:
        view, wanted = self._tail.view, _selection(series_ids, span)
        wanted, condition = page_filter(wanted, after, descending=descending)
        pages: list[pa.Table] = []
        left = limit
        for part in day_groups(view, wanted, descending=descending):
            question = page_sql(condition, descending=descending, limit=left)
            page = self._engine.ask(view, part, _ALL_COLUMNS, question)
            pages.append(page.cast(READING_SCHEMA))
            left -= len(page)
            if left <= 0:
                break
        return pa.concat_tables(pages) if pages else READING_SCHEMA.empty_table()

    def aggregate(
        self,
        series_ids: Sequence[int],
        span: Span,
        every: Every,
        functions: Sequence[str],
        *,
        limit: int,
    ) -> pa.Table:
        view, wanted = self._tail.view, _selection(series_ids, span)
        wanted = extent(view, wanted)
        bucket = bucket_sql(pieces(every, wanted.first_us, wanted.stop_us), "t")
        question = windows_sql(bucket, functions, limit + 1)
        answers: list[pa.Table] = []
        for part in mixed_groups(view, wanted, self._engine.mixed_rows(("value",))):
            answers.append(self._engine.ask(view, part, ("value",), question))
            if sum(map(len, answers)) > limit:
                raise RejectError("too_many_points", f"more than {limit} windows have readings")
        return pa.concat_tables(answers)

    def latest(self, series_ids: Sequence[int] | None = None) -> pa.Table:
        if self._search.is_behind:
            ids = None if series_ids is None else _sorted_ids(series_ids)
            self._search.complete(self._tail.view, ids)
        return self._latest.table(series_ids)

    def summary(self, series_ids: Sequence[int]) -> pa.Table:
        view, wanted = self._tail.view, Selection(_sorted_ids(series_ids), *ALWAYS_US)
        parts = mixed_groups(view, wanted, self._engine.mixed_rows(()))
        return pa.concat_tables(self._engine.ask(view, part, (), SUMMARY_SQL) for part in parts)

    def export(self, series_ids: Sequence[int], span: Span) -> Iterator[pa.RecordBatch]:
        view, wanted = self._tail.view, _selection(series_ids, span)
        for ids, parts in id_groups(view, wanted, series_ids):
            for part in parts:
                rows = self._engine.ask(view, part, _ALL_COLUMNS, EXPORT_SQL)
                rows = rows.cast(READING_SCHEMA)
                yield from _in_order_of(ids, rows).to_batches(_BATCH_ROWS)

    def close(self) -> None:
        """Release the engine; a second call does nothing."""
        self._engine.close()


def _sorted_ids(series_ids: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.unique(np.asarray(series_ids, np.int64))


def _selection(series_ids: Sequence[int], span: Span) -> Selection:
    """Return the selection whose microseconds lie in a span of nanoseconds."""
    return Selection(_sorted_ids(series_ids), -(-span.start_ns // 1000), -(-span.stop_ns // 1000))


def _in_order_of(ids: Sequence[int], rows: pa.Table) -> pa.Table:
    """Return rows sorted by series in the order of `ids` instead."""
    order = np.argsort(np.asarray(ids, np.int64), kind="stable")
    if (order[1:] > order[:-1]).all():
        return rows
    places = np.searchsorted(np.sort(np.asarray(ids, np.int64)), rows.column("series_id"))
    return rows.take(pa.array(np.argsort(order[places], kind="stable")))
