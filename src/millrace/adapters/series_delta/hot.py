"""Hot readings, consolidated and indexed by series.

Readings lie in a few runs, each sorted by series id and, within a series, in the order of commits.
A commit adds a small run; runs of like size are merged, so that there are never more than some
twenty.
Runs are never changed once made: a query keeps those it began with.
Source: D-12, D-32.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.adapters.series_delta.files import Columns

_GROWTH = 4
# A merge holds up what was just committed: 256 k rows take some 50 ms.
_MAX_MERGED_ROWS = 262_144
_LATEST_US = 2**62

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HotRun:
    """Readings of consecutive batches, sorted by series; `batch` is the id for each reading.

    `first_us` and `last_us` are the instants of the oldest and of the newest reading.
    """

    rows: Columns
    batch: Ids
    first_batch: int
    last_batch: int
    first_us: int
    last_us: int


def run_of_batch(batch: pa.RecordBatch, batch_id: int) -> HotRun:
    """Return the run of one hot batch, instants cut to the microseconds of sealed history."""
    rows = Columns(
        batch.column("series_id").to_numpy(),
        np.floor_divide(batch.column("time_ns").to_numpy(), 1000),
        batch.column("value").to_numpy(),
        batch.column("flags").to_numpy(),
        batch.column("attr_id").to_numpy(),
    )
    order = np.argsort(rows.series, kind="stable")
    return _run(rows.take(order), np.full(len(rows), batch_id), batch_id, batch_id)


def with_run(runs: tuple[HotRun, ...], run: HotRun) -> tuple[HotRun, ...]:
    """Return runs with a later one added."""
    if not len(run.rows):
        return runs
    last = run
    while runs and len(runs[-1].rows) < min(_GROWTH * len(last.rows), _MAX_MERGED_ROWS):
        last = _merged(runs[-1], last)
        runs = runs[:-1]
    return (*runs, last)


def without_batches(runs: tuple[HotRun, ...], through: int) -> tuple[HotRun, ...]:
    """Return runs without the readings of batches up to and including `through`."""
    left = []
    for run in runs:
        if run.first_batch > through:
            left.append(run)
        elif run.last_batch > through:
            stays = run.batch > through
            left.append(_run(run.rows.take(stays), run.batch[stays], through + 1, run.last_batch))
    return tuple(left)


def hot_rows(runs: Sequence[HotRun], ids: Ids | None, first_us: int, stop_us: int) -> Columns:
    """Return the readings of some series (None: all) in a span, sorted by (series, time).

    Shape: `ids` ascending; of two readings of one series and instant the later committed.
    """
    parts = [
        run.rows if ids is None else run.rows.take(_places(run.rows.series, ids))
        for run in runs
        if run.last_us >= first_us and run.first_us < stop_us
    ]
    rows = _joined(parts) if parts else _none()
    inside = (rows.time_us >= first_us) & (rows.time_us < stop_us)
    return without_replaced(rows if inside.all() else rows.take(inside))


def without_replaced(rows: Columns) -> Columns:
    """Sort readings that are in the order of commits by (series, time); drop replaced ones."""
    if not len(rows):
        return rows
    order = np.lexsort((rows.time_us, rows.series))
    rows = rows.take(order)
    stays = np.ones(len(rows), bool)
    stays[:-1] = (rows.series[1:] != rows.series[:-1]) | (rows.time_us[1:] != rows.time_us[:-1])
    return rows if stays.all() else rows.take(stays)


def _places(series: Ids, ids: Ids) -> npt.NDArray[np.intp]:
    """Return the places of these ids in a sorted column."""
    starts = np.searchsorted(series, ids, "left")
    counts = np.searchsorted(series, ids, "right") - starts
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    places: npt.NDArray[np.intp] = np.arange(total) + np.repeat(starts - ends + counts, counts)
    return places


def _merged(older: HotRun, newer: HotRun) -> HotRun:
    rows = _joined([older.rows, newer.rows])
    batch = np.concatenate((older.batch, newer.batch))
    # Stable keeps the order of commits within a series, and two sorted runs merge in linear time.
    order = np.argsort(rows.series, kind="stable")
    return _run(rows.take(order), batch[order], older.first_batch, newer.last_batch)


def _run(rows: Columns, batch: Ids, first_batch: int, last_batch: int) -> HotRun:
    first_us = int(rows.time_us.min(initial=_LATEST_US))
    last_us = int(rows.time_us.max(initial=-_LATEST_US))
    return HotRun(rows, batch, first_batch, last_batch, first_us, last_us)


def _joined(parts: Sequence[Columns]) -> Columns:
    return Columns(
        np.concatenate([part.series for part in parts]),
        np.concatenate([part.time_us for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.flags for part in parts]),
        np.concatenate([part.attr for part in parts]),
    )


def _none() -> Columns:
    longs = np.empty(0, np.int64)
    return Columns(longs, longs, np.empty(0, np.float64), np.empty(0, np.int16), longs)
