"""Newest readings after a start over sealed history: little memory, few files, the later commit."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.series_delta import DeltaQuery, DeltaSeries
from millrace.adapters.series_delta.answers import Engine
from millrace.adapters.series_delta.latest import LatestArrays
from millrace.adapters.series_delta.latest_search import LatestSearch
from millrace.adapters.series_delta.storage import storage_of
from millrace.adapters.series_delta.table import open_table
from millrace.adapters.series_delta.view import View
from millrace.errors import StopError
from millrace.ports.series import READING_SCHEMA, Every
from tests.contracts.hot_memory import (
    ALWAYS,
    DAY_NS,
    SECOND_NS,
    START_NS,
    MemoryHot,
    rows_of,
    table,
)

SERIES = 1_000
EACH = 300
# Enough for one overlapping file at a time, not for all of them row by row.
MEMORY_BYTES = 48 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "series"


@pytest.fixture
def writer(root: Path) -> DeltaSeries:
    return DeltaSeries(root, now_ns=lambda: START_NS)


def many(first_s: int, value: float) -> pa.Table:
    """Return `EACH` readings, one a second, of each of `SERIES` series."""
    ids = np.repeat(np.arange(1, SERIES + 1), EACH)
    times = np.tile(START_NS + (first_s + np.arange(EACH)) * SECOND_NS, SERIES)
    size = len(ids)
    columns = (ids, times, np.full(size, value), np.zeros(size, np.int16), np.ones(size, np.int64))
    return pa.table([pa.array(one) for one in columns], schema=READING_SCHEMA)


def overlapping(writer: DeltaSeries) -> None:
    """Seal runs of one day of which each overlaps the next."""
    for number in range(1, 6):
        writer.seal(many(100 * number, float(number)), number)


def test_b7_latest_over_overlapping_seals_is_no_503_for_want_of_memory(
    root: Path, writer: DeltaSeries
) -> None:
    overlapping(writer)
    query = DeltaQuery(root, MemoryHot(), memory_bytes=MEMORY_BYTES)
    query.refresh()
    newest = rows_of(query.latest(list(range(1, SERIES + 1))))
    at_ns = START_NS + (500 + EACH - 1) * SECOND_NS
    assert newest == [(one, at_ns, 5.0, 0, 1) for one in range(1, SERIES + 1)]


def test_b7_windows_over_overlapping_seals_are_no_503_for_want_of_memory(
    root: Path, writer: DeltaSeries
) -> None:
    for number in range(1, 13):
        writer.seal(many(100 * number, float(number)), number)
    query = DeltaQuery(root, MemoryHot(), memory_bytes=2 * MEMORY_BYTES)
    query.refresh()
    ids = list(range(1, SERIES + 1))
    functions = ["count", "max"]
    found = query.aggregate(ids, ALWAYS, Every(1, "d"), functions, limit=SERIES)
    assert found["series_id"].to_pylist() == ids
    assert set(found["count"].to_pylist()) == {1100 + EACH}
    assert set(found["max"].to_pylist()) == {12.0}
    assert set(query.summary(ids)["count"].to_pylist()) == {1100 + EACH}


def test_b7_latest_of_live_series_does_not_look_into_old_files(
    root: Path, writer: DeltaSeries
) -> None:
    for day in range(5):
        rows = [(1, START_NS + day * DAY_NS, float(day), 0, 1)]
        writer.seal(table([*rows, (2, START_NS, 7.0, 0, 1)] if not day else rows), day + 1)
    old = sorted(root.glob("date=*/*.parquet"))[:-1]
    for path in old:
        path.write_bytes(b"damaged")
    query = DeltaQuery(root, MemoryHot())
    query.refresh()
    assert rows_of(query.latest([1])) == [(1, START_NS + 4 * DAY_NS, 4.0, 0, 1)]
    with pytest.raises(StopError, match="damaged"):
        query.latest([2])


def test_d12_of_one_instant_the_later_seal_is_the_newest_whichever_is_looked_at_first(
    root: Path, writer: DeltaSeries
) -> None:
    late_ns = START_NS + 3600 * SECOND_NS
    writer.seal(table([(1, START_NS, 1.0, 0, 1), (2, late_ns, 1.0, 0, 1)]), 1)
    writer.seal(table([(1, START_NS, 2.0, 0, 1)]), 2)
    query = DeltaQuery(root, MemoryHot())
    query.refresh()
    assert rows_of(query.latest()) == [(1, START_NS, 2.0, 0, 1), (2, late_ns, 1.0, 0, 1)]


def test_f55_hot_readings_that_are_sealed_unseen_are_found_again(
    root: Path, writer: DeltaSeries
) -> None:
    hot = MemoryHot()
    query = DeltaQuery(root, hot)
    query.refresh()
    for number in (1, 2, 3):
        hot.commit([(number, START_NS, float(number), 0, 1)])
        writer.seal(table([(number, START_NS, float(number), 0, 1)]), number)
        hot.forget_hot(number)
        query.refresh()
        assert [row[0] for row in rows_of(query.latest([1, 2, 3]))] == list(range(1, number + 1))


def searching(root: Path, clock: ManualClock) -> tuple[LatestSearch, LatestArrays, View]:
    """Return a search that has seen nothing, where it puts what it finds, and all sealed files."""
    storage = storage_of(root)
    sealed = open_table(storage, "ledger-0")
    assert sealed is not None
    view = View(root, sealed.files, (), sealed.sealed_through, sealed.sealed_through)
    latest = LatestArrays()
    engine = Engine(MEMORY_BYTES, 1, storage, lambda: view)
    return LatestSearch(engine, latest, 0, clock.steady_s), latest, view


def test_b7_the_search_goes_on_by_itself_in_a_share_of_the_time(
    root: Path, writer: DeltaSeries
) -> None:
    for number in (1, 2, 3):
        writer.seal(table([(number, START_NS + number * DAY_NS, 1.0, 0, 1)]), number)
    clock = ManualClock(START_NS)
    search, latest, view = searching(root, clock)
    found = []
    for _ in range(6):
        search.follow(view, has_missed=False)
        search.go_on(view)
        found.append(latest.table(None)["series_id"].to_pylist())
        clock.advance(1.0)
    assert found == [[], [3], [2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3]]
    for path in root.glob("date=*/*.parquet"):
        path.unlink()
    search.complete(view, np.array([1, 2, 3, 4]))


def test_f7_a_damaged_file_holds_up_those_alone_who_ask_for_its_readings(
    root: Path, writer: DeltaSeries
) -> None:
    for number in (1, 2, 3):
        writer.seal(table([(number, START_NS + number * DAY_NS, 1.0, 0, 1)]), number)
    sorted(root.glob("date=*/*.parquet"))[1].write_bytes(b"damaged")
    clock = ManualClock(START_NS)
    search, latest, view = searching(root, clock)
    for _ in range(6):
        search.follow(view, has_missed=False)
        search.go_on(view)
        clock.advance(1.0)
    assert latest.table(None)["series_id"].to_pylist() == [1, 3]
    search.complete(view, np.array([1, 3]))
    with pytest.raises(StopError, match="damaged"):
        search.complete(view, np.array([2]))
