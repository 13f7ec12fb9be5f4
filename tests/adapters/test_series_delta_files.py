"""What only the Delta adapter promises: sizes, names, plans of merges, damage, other writers."""

import gc
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from millrace.adapters.series_delta import DeltaQuery, DeltaSeries
from millrace.adapters.series_delta.files import DataFile, Run, run_of
from millrace.adapters.series_delta.merging import SMALL_RUNS, plan_merges
from millrace.errors import FencedError, RetryError, StopError
from millrace.ports.series import READING_SCHEMA
from tests.contracts.hot_memory import (
    ALWAYS,
    DAY_NS,
    SECOND_NS,
    START_NS,
    MemoryHot,
    rows_of,
    table,
)

HOUR_MS = 3_600_000
DAY = START_NS // DAY_NS
NOON_MS = (START_NS + DAY_NS // 2) // 1_000_000
LATER_MS = (START_NS + 2 * DAY_NS) // 1_000_000


def writer(root: Path) -> DeltaSeries:
    return DeltaSeries(root, now_ns=lambda: START_NS)


def readings(shape: str, series: int = 200, each: int = 2_000) -> pa.Table:
    """Readings every five seconds in the order in which they arrive."""
    random = np.random.default_rng(1)
    ids = np.tile(np.arange(1, series + 1), each)
    times = START_NS + np.repeat(np.arange(each), series) * 5 * SECOND_NS
    values = np.round(20 + random.normal(0, 3, len(ids)), 1)
    if shape == "jittered":
        times = times + random.integers(0, 1000, len(ids)) * 1000
    if shape == "random":
        values = random.random(len(ids)) * 100
    flags, attrs = np.zeros(len(ids), np.int16), ids % 7 + 1
    return pa.table([ids, times, values, flags, attrs], schema=READING_SCHEMA)


@pytest.mark.parametrize(("shape", "most"), [("exact", 1.5), ("jittered", 3.2), ("random", 9.0)])
def test_b6_bytes_per_reading(tmp_path: Path, shape: str, most: float) -> None:
    series = writer(tmp_path / "series")
    rows = readings(shape)
    series.seal(rows, 1)
    assert sum(file.size_bytes for file in series.files()) / len(rows) <= most


def test_d30_other_programs_read_the_table_as_it_is(tmp_path: Path) -> None:
    series = writer(tmp_path / "series")
    series.seal(table([(1, START_NS, 1.5, 4, 9), (1, START_NS + DAY_NS, 2.5, 0, 9)]), 1)
    rows = pa.table(DeltaTable(tmp_path / "series").to_pyarrow_table()).sort_by("time").to_pylist()
    assert [(row["series_id"], row["value"], row["flags"]) for row in rows] == [
        (1, 1.5, 4),
        (1, 2.5, 0),
    ]
    assert [str(row["date"]) for row in rows] == ["2026-03-01", "2026-03-02"]
    assert rows[0]["time"].timestamp() * SECOND_NS == START_NS


def test_names_say_what_a_file_covers() -> None:
    assert run_of(f"date=2026-03-01/{Run(42, 3).name(7, '0badcafe')}") == Run(42, 3)
    assert run_of("date=2026-03-01/part-00000-4f-c000.zstd.parquet") == Run(0, 0)


def file_of(last: int, rows: int = 100, *, merges: int = 0, written_ms: int = NOON_MS) -> DataFile:
    run = Run(last, merges)
    return DataFile(run.name(0, "w"), run, DAY, rows, 9, written_ms, 1, 9, 0, 1)


def planned(files: list[DataFile], now_ms: int) -> list[int]:
    """Return the batch ids of the files of the one merge that is planned."""
    merges = plan_merges(files, now_ms)
    assert len(merges) <= 1
    return [file.run.last_batch_id for merge in merges for file in merge.files]


def test_d30_twelve_small_files_of_a_running_day_become_one() -> None:
    small = [file_of(number) for number in range(1, SMALL_RUNS + 1)]
    assert planned(small[:-1], NOON_MS) == []
    assert planned(small, NOON_MS) == list(range(1, 13))
    merged = file_of(12, 1200, merges=1)
    more = [file_of(number) for number in range(13, 25)]
    assert planned([merged, *more[:-1]], NOON_MS + 9 * HOUR_MS) == []
    assert planned([merged, *more], NOON_MS)[0] == 12
    assert planned([file_of(12, 100_000, merges=1), *more], NOON_MS) == list(range(13, 25))


def test_d30_a_day_that_is_over_becomes_one_file() -> None:
    files = [file_of(12, 1200, merges=1), file_of(24, 1200, merges=1), file_of(25)]
    assert planned([file_of(1), file_of(2)], LATER_MS) == [1, 2]
    assert planned(files, LATER_MS) == [12, 24, 25]
    assert planned([file_of(25, merges=3)], LATER_MS) == []


def test_d30_late_readings_wait_for_an_hour() -> None:
    late = file_of(99, 5, written_ms=LATER_MS)
    files = [file_of(25, 1_000_000, merges=2), late]
    assert planned(files, LATER_MS + HOUR_MS - 1) == []
    assert planned(files, LATER_MS + HOUR_MS) == [25, 99]
    huge = [file_of(25, 50_000_000, merges=2), late]
    assert planned(huge, LATER_MS + 9 * HOUR_MS) == []


def test_p5_of_two_writers_one_commits(tmp_path: Path) -> None:
    first, second = writer(tmp_path / "series"), writer(tmp_path / "series")
    first.seal(table([(1, START_NS, 1.0, 0, 1)]), 5)
    with pytest.raises(FencedError):
        second.seal(table([(1, START_NS, 2.0, 0, 1)]), 5)
    with pytest.raises(FencedError):
        second.seal(table([(1, START_NS, 2.0, 0, 1)]), 6)
    query = DeltaQuery(tmp_path / "series", MemoryHot())
    query.refresh()
    assert rows_of(query.raw([1], ALWAYS, limit=9)) == [(1, START_NS, 1.0, 0, 1)]


@pytest.mark.parametrize("left", [b"", b'{"commitInfo":{"timest', b"\0" * 300])
def test_f7_a_torn_commit_is_set_aside_and_sealed_again(tmp_path: Path, left: bytes) -> None:
    root = tmp_path / "series"
    series = writer(root)
    series.seal(table([(1, START_NS, 1.0, 0, 1)]), 1)
    series.seal(table([(2, START_NS, 2.0, 0, 1)]), 2)
    (root / "_delta_log" / f"{2:020d}.json").write_bytes(left)
    again = writer(root)
    assert again.sealed_through() == 1
    again.seal(table([(2, START_NS, 2.0, 0, 1)]), 2)
    query = DeltaQuery(root, MemoryHot())
    assert query.refresh() == 2
    assert query.summary([1, 2]).column("count").to_pylist() == [1, 1]


def test_the_log_of_the_table_is_summed_up(tmp_path: Path) -> None:
    series = writer(tmp_path / "series")
    for number in range(1, 53):
        series.seal(table([(1, START_NS + number * 1000, 1.0, 0, 1)]), number)
        series.vacuum(START_NS)
    assert list((tmp_path / "series" / "_delta_log").glob("*.checkpoint.parquet"))
    assert writer(tmp_path / "series").sealed_through() == 52


@pytest.mark.parametrize("damage", ["truncated", "emptied", "flipped", "rubbish"])
def test_f55_a_damaged_file_is_named_and_the_rest_is_answered(tmp_path: Path, damage: str) -> None:
    root = tmp_path / "series"
    series, random = writer(root), Random(2)
    rows = [(n % 50, START_NS + n * SECOND_NS, random.random(), 0, 1) for n in range(5_000)]
    series.seal(table(rows), 1)
    series.seal(table([(1, START_NS + 5 * DAY_NS, 1.0, 0, 1)]), 2)
    path = root / series.files()[0].path
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        for at in range(60, len(content) - 8, 7):
            content[at] ^= 0xFF
    else:
        content = {
            "truncated": content[: len(content) // 2], "emptied": bytearray(),
            "rubbish": bytearray(random.randbytes(len(content))),
        }[damage]  # fmt: skip
    path.write_bytes(content)
    query = DeltaQuery(root, MemoryHot())
    query.refresh()
    with pytest.raises(StopError, match=path.name):
        query.raw(list(range(50)), ALWAYS, limit=99_999)
    later = query.raw([1], type(ALWAYS)(START_NS + 2 * DAY_NS, ALWAYS.stop_ns), limit=9)
    assert later.num_rows == 1
    gc.collect()


def test_files_that_are_gone_are_a_reason_to_ask_again(tmp_path: Path) -> None:
    root = tmp_path / "series"
    series = writer(root)
    for number in range(1, 13):
        series.seal(table([(1, START_NS + number * SECOND_NS, 1.0, 0, 1)]), number)
    query = DeltaQuery(root, MemoryHot())
    query.refresh()
    series.compact(START_NS)
    series.vacuum(START_NS)
    series.vacuum(START_NS + 60 * SECOND_NS)
    with pytest.raises(RetryError):
        query.raw([1], ALWAYS, limit=99)
    query.refresh()
    assert query.raw([1], ALWAYS, limit=99).num_rows == 12


def test_f11_a_folder_that_cannot_be_written_is_a_reason_to_retry(tmp_path: Path) -> None:
    series = writer(tmp_path / "series")
    (tmp_path / "series" / "date=2026-03-01").write_bytes(b"a file in the place of the folder")
    with pytest.raises(RetryError):
        series.seal(table([(1, START_NS, 1.0, 0, 1)]), 1)
    assert series.sealed_through() == 0
