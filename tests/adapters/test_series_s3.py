"""Sealed history as a Delta Lake table in a bucket."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from millrace.adapters.series_delta import DeltaQuery, DeltaSeries
from millrace.adapters.series_delta.bucket import BucketStorage
from millrace.adapters.series_delta.files import DataFile
from millrace.errors import FencedError, RejectError, RetryError, StopError
from millrace.objects import S3Options, table_options
from millrace.ports.ledger import HotReadings
from millrace.ports.series import SeriesQuery, SeriesWriter, Span
from tests.contracts.hot_memory import (
    ALWAYS,
    DAY_NS,
    SECOND_NS,
    START_NS,
    MemoryHot,
    rows_of,
    table,
)
from tests.contracts.series import SeriesContract
from tests.servers.fault_proxy import Fault, Plan, running_proxy
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.services


class EagerStorage(BucketStorage):
    """Looks at the bucket at each call, as the contract asks."""

    look_every_s = 0.0
    list_every_s = 0.0


class TestDeltaSeriesInABucket(SeriesContract):
    @pytest.fixture(autouse=True)
    def _place(self, s3: S3Server, prefix: str, tmp_path: Path) -> None:
        self.options = s3.options(prefix)
        self.folder = tmp_path

    def make_writer(self) -> SeriesWriter:
        place = EagerStorage(self.options, self.folder / "written")
        return DeltaSeries(place, now_ns=lambda: START_NS)

    def make_query(
        self, hot: HotReadings, latest_source: Callable[[], pa.Table] | None = None
    ) -> SeriesQuery:
        place = EagerStorage(self.options, self.folder / "read")
        return DeltaQuery(place, hot, latest_source=latest_source)


@pytest.fixture
def options(s3: S3Server, prefix: str) -> S3Options:
    return s3.options(prefix)


def writer(options: S3Options, folder: Path, **more: int) -> DeltaSeries:
    return DeltaSeries(EagerStorage(options, folder, **more), now_ns=lambda: START_NS)


def query(options: S3Options, folder: Path, **more: int) -> DeltaQuery:
    return DeltaQuery(EagerStorage(options, folder, **more), MemoryHot())


def day(number: int, rows: int = 1) -> pa.Table:
    first_ns = START_NS + number * DAY_NS
    return table([(1, first_ns + n * SECOND_NS, float(n), 0, 1) for n in range(rows)])


def test_p5_of_two_writers_one_commits(options: S3Options, tmp_path: Path) -> None:
    first, second = writer(options, tmp_path / "1"), writer(options, tmp_path / "2")
    first.seal(table([(1, START_NS, 1.0, 0, 1)]), 5)
    with pytest.raises(FencedError):
        second.seal(table([(1, START_NS, 2.0, 0, 1)]), 6)
    asked = query(options, tmp_path / "3")
    asked.refresh()
    assert rows_of(asked.raw([1], ALWAYS, limit=9)) == [(1, START_NS, 1.0, 0, 1)]


def test_a_store_without_conditions_must_be_admitted(
    s3: S3Server, options: S3Options, tmp_path: Path
) -> None:
    claimed = replace(options, conditional_put=True)
    if s3.honours_conditions:
        assert writer(claimed, tmp_path).sealed_through() == 0
    else:
        with pytest.raises(StopError, match="If-None-Match") as raised:
            writer(claimed, tmp_path)
        assert "s3.conditional_put" in raised.value.remedy


def test_other_programs_read_the_table_as_it_is(
    s3: S3Server, options: S3Options, tmp_path: Path
) -> None:
    if s3.name == "rclone":
        pytest.skip("rclone answers ranges with 200, and other programs read in ranges")
    writer(options, tmp_path).seal(day(0, 3), 1)
    read = DeltaTable(options.url, storage_options=table_options(options)).to_pyarrow_table()
    assert sorted(read.column("value").to_pylist()) == [0.0, 1.0, 2.0]


def failing(step: str, fault: Fault) -> Plan:
    return lambda asked: fault if step in asked.path and asked.method == "PUT" else None


def losing(step: str, answers: int) -> Plan:
    """Lose the answers of the first requests that are a step."""
    plan, lost = failing(step, Fault.CUT_ANSWER), iter(range(answers))
    return lambda asked: plan(asked) if plan(asked) and next(lost, None) is not None else None


@pytest.mark.parametrize("fault", [Fault.ERROR_500, Fault.SLOW_DOWN_503, Fault.CUT_REQUEST])
def test_f30_what_cannot_be_stored_is_not_sealed(
    s3: S3Server, prefix: str, tmp_path: Path, fault: Fault
) -> None:
    with running_proxy(s3.endpoint) as (proxy, endpoint):
        series = writer(replace(s3.options(prefix, endpoint=endpoint), retries=1), tmp_path)
        series.seal(day(0), 1)
        for step in ("date", "_delta_log"):
            proxy.plan = failing(step, fault)
            with pytest.raises(RetryError):
                series.seal(day(1), 2)
            assert series.sealed_through() == 1
        proxy.plan = lambda _asked: None
        series.seal(day(1), 2)
        assert series.sealed_through() == 2
        assert series.vacuum(START_NS) == series.vacuum(START_NS + 1) == 0
        # The objects of what failed carry the name of the run that was sealed in the end.
        assert series.vacuum(START_NS + 61 * SECOND_NS) == 0


def test_f30_a_store_that_is_away_at_first_is_tried_again(
    s3: S3Server, prefix: str, tmp_path: Path
) -> None:
    with running_proxy(s3.endpoint) as (proxy, endpoint):
        proxy.plan = lambda _asked: Fault.CUT_REQUEST
        options = replace(s3.options(prefix, endpoint=endpoint), retries=0)
        series = writer(options, tmp_path / "1")
        with pytest.raises(RetryError):
            series.sealed_through()
        asked = query(options, tmp_path / "2")
        with pytest.raises(RetryError):
            asked.refresh()
        proxy.plan = lambda _asked: None
        series.seal(day(0), 1)
        assert asked.refresh() == 1


def test_f30_readings_in_the_ledger_are_answered_while_the_store_is_away(
    s3: S3Server, prefix: str, tmp_path: Path
) -> None:
    with running_proxy(s3.endpoint) as (proxy, endpoint):
        options = replace(s3.options(prefix, endpoint=endpoint), retries=0)
        writer(options, tmp_path / "1").seal(day(0), 1)
        hot = MemoryHot()
        asked = DeltaQuery(EagerStorage(options, tmp_path / "1"), hot)
        hot.commit([(1, START_NS, 0.0, 0, 1)])
        hot.commit([(1, START_NS + SECOND_NS, 5.0, 0, 1)])
        asked.refresh()
        proxy.plan = lambda _asked: Fault.CUT_REQUEST
        hot.commit([(1, START_NS + 2 * SECOND_NS, 6.0, 0, 1)])
        assert asked.refresh() == 3
        assert [row[2] for row in rows_of(asked.raw([1], ALWAYS, limit=9))] == [0.0, 5.0, 6.0]
        assert asked.refresh() == 3
        hot.commit([(1, START_NS + 3 * SECOND_NS, 7.0, 0, 1)])
        hot.forget_hot(4)  # sealed by somebody who still reaches the store
        with pytest.raises(RetryError):
            asked.refresh()


def test_p10_copies_stay_within_their_bound(options: S3Options, tmp_path: Path) -> None:
    series = writer(options, tmp_path / "written")
    for number in range(6):
        series.seal(day(number, 2_000), number + 1)
    size_bytes = max(file.size_bytes for file in series.files())
    folder = tmp_path / "read"
    asked = query(options, folder, copies_bytes=2 * size_bytes + 10)
    asked.refresh()
    for number in (0, 1, 2, 3, 4, 5, 0):
        span = Span(START_NS + number * DAY_NS, START_NS + (number + 1) * DAY_NS)
        assert asked.raw([1], span, limit=9_999).num_rows == 2_000
        copies = [path.stat().st_size for path in folder.glob("date=*/*")]
        assert sum(copies) <= 2 * size_bytes + 10
        assert len(copies) <= 2
    with pytest.raises(RejectError, match=r"series\.copies_bytes"):
        asked.summary([1])


def test_a_copy_that_is_gone_or_damaged_is_fetched_again(
    options: S3Options, tmp_path: Path
) -> None:
    series = writer(options, tmp_path / "written")
    series.seal(day(0, 5_000), 1)
    folder = tmp_path / "read"
    asked = query(options, folder)
    asked.refresh()
    assert asked.raw([1], ALWAYS, limit=9_999).num_rows == 5_000
    (copy,) = folder.glob("date=*/*")
    content = copy.read_bytes()
    copy.unlink()
    assert asked.raw([1], ALWAYS, limit=9_999).num_rows == 5_000
    copy.write_bytes(bytes(len(content)))
    again = query(options, folder)
    again.refresh()
    with pytest.raises(RetryError, match="copies of sealed files were damaged"):
        again.raw([1], ALWAYS, limit=9_999)
    assert again.raw([1], ALWAYS, limit=9_999).num_rows == 5_000
    gc.collect()


def test_the_log_of_the_table_is_summed_up(
    s3: S3Server, options: S3Options, tmp_path: Path
) -> None:
    if s3.name == "rclone":
        pytest.skip("rclone answers ranges with 200, and a checkpoint is read in ranges")
    series = writer(options, tmp_path)
    for number in range(1, 53):
        series.seal(table([(1, START_NS + number * 1000, 1.0, 0, 1)]), number)
    series.vacuum(START_NS)
    assert EagerStorage(options, tmp_path).checkpointed() == 52
    assert writer(options, tmp_path).sealed_through() == 52
    asked = query(options, tmp_path)
    asked.refresh()
    assert asked.summary([1]).column("count").to_pylist() == [52]


@pytest.mark.parametrize(("answers_lost", "retries"), [(1, 1), (9, 0)])
def test_f30_a_commit_whose_answer_is_lost_is_not_that_of_another(
    s3: S3Server, prefix: str, tmp_path: Path, answers_lost: int, retries: int
) -> None:
    if not s3.honours_conditions:
        pytest.skip("a commit is written under another name first, and then copied")
    with running_proxy(s3.endpoint) as (proxy, endpoint):
        options = replace(s3.options(prefix, endpoint=endpoint), retries=retries)
        series = writer(options, tmp_path)
        series.seal(day(0), 1)
        for last in range(2, 14):
            proxy.plan = losing("_delta_log", answers_lost)
            series.seal(day(0), last)
            assert series.sealed_through() == last
        proxy.plan = losing("_delta_log", answers_lost)
        assert series.compact(START_NS) == 13
        assert len(series.files()) == 1
        assert proxy.faults >= 13


def test_p10_new_files_stay_until_they_are_in_the_bucket(
    options: S3Options, tmp_path: Path
) -> None:
    series = writer(options, tmp_path, copies_bytes=1)
    series.seal(pa.concat_tables([day(0), day(1), day(2)]), 1)
    assert len(series.files()) == 3


def test_p10_a_merge_that_is_larger_than_the_copies_is_left_out(
    options: S3Options, tmp_path: Path
) -> None:
    series = writer(options, tmp_path, copies_bytes=1)
    for last in range(1, 13):
        series.seal(day(0), last)
    assert series.compact(START_NS) == 0
    assert len(series.files()) == 12


def test_p10_a_source_that_others_have_removed_is_fetched_again(
    options: S3Options, tmp_path: Path
) -> None:
    class Crowded(EagerStorage):
        """Loses a copy while it is read, as to another process that makes room."""

        is_crowded = True

        @contextmanager
        def held(self, files: Sequence[DataFile]) -> Iterator[None]:
            with super().held(files):
                if self.is_crowded:
                    (self.root / files[0].path).unlink()
                yield

    storage = Crowded(options, tmp_path)
    series = DeltaSeries(storage, now_ns=lambda: START_NS)
    for last in range(1, 13):
        series.seal(day(0), last)
    with pytest.raises(RetryError):
        series.compact(START_NS)
    missing = tmp_path / series.files()[0].path
    assert not missing.exists()
    with pytest.raises(RetryError, match="has gone"), series._storing(series.files()):
        series._engine.sql(f"FROM read_parquet('{missing}')").fetchall()
    storage.is_crowded = False
    assert series.compact(START_NS) == 12


def test_p5_who_failed_meanwhile_is_fenced_all_the_same(
    s3: S3Server, prefix: str, tmp_path: Path
) -> None:
    with running_proxy(s3.endpoint) as (proxy, endpoint):
        options = replace(s3.options(prefix, endpoint=endpoint), retries=0)
        first, second = writer(options, tmp_path / "1"), writer(s3.options(prefix), tmp_path / "2")
        second.seal(day(0), 1)
        proxy.plan = failing("_delta_log", Fault.CUT_REQUEST)
        with pytest.raises((FencedError, RetryError)):
            first.seal(day(0), 1)
        proxy.plan = lambda _asked: None
        with pytest.raises(FencedError):
            first.seal(day(1), 2)
