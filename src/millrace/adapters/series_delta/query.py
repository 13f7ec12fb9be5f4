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
from millrace.adapters.series_delta.files import Columns
from millrace.adapters.series_delta.latest import LatestArrays
from millrace.adapters.series_delta.paging import day_groups, id_groups, page_filter
from millrace.adapters.series_delta.sql import (
    EXPORT_SQL,
    NEWEST_SQL,
    SUMMARY_SQL,
    page_sql,
    windows_sql,
)
from millrace.adapters.series_delta.tail import ViewTail
from millrace.adapters.series_delta.view import Selection, View, extent
from millrace.adapters.series_delta.windows import bucket_sql, pieces
from millrace.errors import RejectError
from millrace.ports.ledger import HotReadings
from millrace.ports.series import READING_SCHEMA, Every, Span

_ALL_COLUMNS = ("value", "flags", "attr_id")
_ALWAYS = (-(2**62), 2**62)
_BATCH_ROWS = 65_536


class DeltaQuery:
    """The asking end. See `ports.series.SeriesQuery`."""

    def __init__(
        self,
        root: Path,
        hot: HotReadings,
        *,
        shard: str = "ledger-0",
        latest_source: Callable[[], pa.Table] | None = None,
        memory_bytes: int = 512 << 20,
        threads: int = 2,
    ) -> None:
        self._tail = ViewTail(root.absolute(), hot, shard)
        self._engine = Engine(memory_bytes, threads, lambda: self._tail.view)
        self._latest = LatestArrays()
        self._latest_through = 0
        self._is_latest_behind = True
        if latest_source is not None:
            self._begin_latest(latest_source())

    def refresh(self) -> int:
        arrived, has_missed = self._tail.advance()
        for run in arrived:
            self._latest.take_in(run.rows)
        if has_missed:
            self._is_latest_behind = True
        elif not self._is_latest_behind:
            self._latest_through = self._tail.view.newest_id
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
        answer = self._engine.ask(view, wanted, ("value",), question)
        if len(answer) > limit:
            raise RejectError("too_many_points", f"more than {limit} windows have readings")
        return answer

    def latest(self, series_ids: Sequence[int] | None = None) -> pa.Table:
        if self._is_latest_behind:
            self._catch_up()
        return self._latest.table(series_ids)

    def summary(self, series_ids: Sequence[int]) -> pa.Table:
        wanted = Selection(_sorted_ids(series_ids), *_ALWAYS)
        return self._engine.ask(self._tail.view, wanted, (), SUMMARY_SQL)

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

    def _begin_latest(self, known: pa.Table) -> None:
        self._latest.take_in(_columns(known))
        through = (known.schema.metadata or {}).get(b"through_id", b"0")
        self._latest_through = int(through)

    def _catch_up(self) -> None:
        """Take in what was sealed before it was seen here, and then the hot readings again."""
        view = self._tail.view
        missed = tuple(file for file in view.files if file.run.last_batch_id > self._latest_through)
        everything = Selection(None, *_ALWAYS)
        newest = self._engine.ask(View(view.root, missed), everything, _ALL_COLUMNS, NEWEST_SQL)
        self._latest.take_in(_columns(newest))
        for run in view.hot:
            self._latest.take_in(run.rows)
        self._latest_through = view.newest_id
        self._is_latest_behind = False


def _sorted_ids(series_ids: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.unique(np.asarray(series_ids, np.int64))


def _selection(series_ids: Sequence[int], span: Span) -> Selection:
    """Return the selection whose microseconds lie in a span of nanoseconds."""
    return Selection(_sorted_ids(series_ids), -(-span.start_ns // 1000), -(-span.stop_ns // 1000))


def _columns(table: pa.Table) -> Columns:
    series, time_ns, value, flags, attr = (
        table.column(name).to_numpy() for name in READING_SCHEMA.names
    )
    return Columns(series, np.floor_divide(time_ns, 1000), value, flags, attr)


def _in_order_of(ids: Sequence[int], rows: pa.Table) -> pa.Table:
    """Return rows sorted by series in the order of `ids` instead."""
    order = np.argsort(np.asarray(ids, np.int64), kind="stable")
    if (order[1:] > order[:-1]).all():
        return rows
    places = np.searchsorted(np.sort(np.asarray(ids, np.int64)), rows.column("series_id"))
    return rows.take(pa.array(np.argsort(order[places], kind="stable")))
