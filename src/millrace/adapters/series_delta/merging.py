"""Which files of a date become one, and how: the plan is arithmetic, the merge is DuckDB's.

Twelve small files make a larger one; a date that is over becomes one run. A run is only merged with
what was sealed right after it, so that the order of commits stays readable from the names. Late
readings must not cause their date to be written again each time: they wait until there are twelve
files of them, or for an hour, and a large run joins only when they weigh a quarter of it.
Source: D-30.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from millrace.adapters.series_delta.files import (
    DAY_US,
    FILE_SCHEMA,
    DataFile,
    Place,
    Run,
    write_file,
)

SMALL_RUNS = 12
_LATE_SHARE = 4
_LATE_WAIT_MS = 3_600_000
# A date is over when its last reading may have been sealed.
_GRACE_US = 900_000_000
_SLICE_ROWS = 2_000_000
_FILE_ROWS = 8_000_000
# A merge of this size takes some 20 s, during which nothing is sealed.
_MERGE_ROWS = 64_000_000


@dataclass(frozen=True, slots=True)
class Merge:
    """Files of one date that become one run."""

    day: int
    run: Run
    files: tuple[DataFile, ...]


@dataclass(frozen=True, slots=True)
class _Weighed:
    run: Run
    files: tuple[DataFile, ...]
    rows: int
    written_at_ms: int


def plan_merges(files: Sequence[DataFile], now_ms: int) -> list[Merge]:
    """Return what should be merged at an instant, oldest date first."""
    merges = []
    for day, of_day in groupby(sorted(files, key=lambda file: file.day), lambda file: file.day):
        is_over = now_ms * 1000 >= (day + 1) * DAY_US + _GRACE_US
        chosen = _choose(_runs(of_day), now_ms, is_over=is_over)
        if chosen:
            newest = chosen[-1].run.last_batch_id
            run = Run(newest, max(one.run.merges for one in chosen) + 1)
            merges.append(Merge(day, run, tuple(file for one in chosen for file in one.files)))
    return merges


def _runs(files: Iterator[DataFile]) -> list[_Weighed]:
    runs = []
    in_order = sorted(files, key=lambda file: (file.run.last_batch_id, file.run.merges))
    for run, group in groupby(in_order, lambda file: file.run):
        members = tuple(group)
        rows = sum(file.rows for file in members)
        runs.append(_Weighed(run, members, rows, min(file.written_at_ms for file in members)))
    return runs


def _choose(runs: list[_Weighed], now_ms: int, *, is_over: bool) -> list[_Weighed]:
    """Return the newest runs that are to become one; none, or at least two."""
    first = len(runs)
    while first > 0 and runs[first - 1].run.merges == 0:
        first -= 1
    small, has_merged = len(runs) - first, first > 0
    if not small:
        first = len(runs) - 1
    has_waited = now_ms - runs[first].written_at_ms >= _LATE_WAIT_MS
    is_due = small >= SMALL_RUNS or (is_over and (has_waited or not has_merged))
    if not is_due:
        return []
    weight = sum(one.rows for one in runs[first:])
    while first > 0 and _joins(runs[first - 1], weight, is_over=is_over):
        first -= 1
        weight += runs[first].rows
    chosen = runs[first:]
    return chosen if len(chosen) > 1 else []


def _joins(run: _Weighed, weight: int, *, is_over: bool) -> bool:
    if weight + run.rows > _MERGE_ROWS:
        return False
    return weight * _LATE_SHARE >= run.rows or (is_over and run.rows <= _FILE_ROWS)


def merge_files(
    place: Place, files: Sequence[DataFile], connection: duckdb.DuckDBPyConnection
) -> list[DataFile]:
    """Write files as one run, a bounded number of rows in memory at any time.

    Raises:
        duckdb.Error: A file cannot be read.
    """
    root = place.root
    files = sorted(files, key=lambda file: (file.run.last_batch_id, file.run.merges, file.path))
    made: list[DataFile] = []
    pending: list[pa.Table] = []
    for cut in _cuts(root, files):
        table = _slice(root, files, cut, connection)
        if pending and sum(map(len, pending)) + len(table) > _FILE_ROWS:
            made.append(write_file(place, len(made), pending))
            pending = []
        if len(table):
            pending.append(table)
    if pending:
        made.append(write_file(place, len(made), pending))
    return made


def _cuts(root: Path, files: Sequence[DataFile]) -> list[tuple[int, int]]:
    """Return ranges of series ids, both ends inclusive, with about `_SLICE_ROWS` rows each."""
    groups = []
    for file in files:
        facts = pq.read_metadata(root / file.path)
        for number in range(facts.num_row_groups):
            group = facts.row_group(number)
            groups.append((group.column(0).statistics.max, group.num_rows))
    ranges, start, rows = [], -(2**63), 0
    for last, count in sorted(groups):
        rows += count
        if rows >= _SLICE_ROWS and last >= start:
            ranges.append((start, last))
            start, rows = last + 1, 0
    ranges.append((start, 2**63 - 1))
    return ranges


def _slice(
    root: Path,
    files: Sequence[DataFile],
    cut: tuple[int, int],
    connection: duckdb.DuckDBPyConnection,
) -> pa.Table:
    table = connection.sql(
        """SELECT series_id, time, value, flags, attr_id
           FROM read_parquet($paths, hive_partitioning = false)
           WHERE series_id BETWEEN $low AND $high
           ORDER BY series_id, time, file_index""",
        params={
            "paths": [str(root / file.path) for file in files], "low": cut[0], "high": cut[1],
        },
    ).to_arrow_table()  # fmt: skip
    return _without_replaced(table.cast(FILE_SCHEMA))


def _without_replaced(rows: pa.Table) -> pa.Table:
    """Return sorted readings without those that the next one replaces."""
    series = rows.column("series_id").to_numpy()
    times = rows.column("time").cast(pa.int64()).to_numpy()
    stays = np.ones(len(series), bool)
    stays[:-1] = (series[1:] != series[:-1]) | (times[1:] != times[:-1])
    return rows if stays.all() else rows.filter(pa.array(stays))
