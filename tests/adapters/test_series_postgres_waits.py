"""History as rows holds nobody up: not retention, and not a download that its reader left alone."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from millrace.adapters.series_postgres import PostgresQuery, PostgresSeries, exporting, writer
from millrace.adapters.series_postgres.rollups import LEVELS
from tests.adapters.test_series_postgres import CommittedRows, rows_in
from tests.contracts.hot_memory import ALWAYS, DAY_NS, SECOND_NS, START_NS, Row, rows_of

pytestmark = pytest.mark.services

DAYS: list[Row] = [(1, START_NS + n * DAY_NS, float(n), 0, 1) for n in range(5)]


class Kept:
    """Five days of one series, committed and rolled up."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.url = url
        self.rows = stack.enter_context(closing(CommittedRows(url)))
        self.keeper = stack.enter_context(closing(PostgresSeries(url)))
        self.query = stack.enter_context(closing(PostgresQuery(url)))
        self.rows.commit(DAYS)
        self.keeper.seal(rows_in(self.rows.hot(0)), 1)

    def count(self, table: str) -> int:
        with psycopg.connect(self.url) as db:
            [(number,)] = db.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()  # noqa: S608
        return int(number)


@pytest.fixture
def kept(migrated_url: str) -> Iterator[Kept]:
    with ExitStack() as stack:
        yield Kept(migrated_url, stack)


@pytest.mark.timeout(20)
def test_d30_what_somebody_reads_is_retired_the_next_time(kept: Kept) -> None:
    with psycopg.connect(kept.url) as reader:
        reader.execute("SELECT count(*) FROM readings")
        assert kept.keeper.retire(START_NS + 2 * DAY_NS) == 0
        kept.rows.commit([(1, START_NS + SECOND_NS, 9.0, 0, 1)])
        assert kept.count("readings") == 6
    assert kept.keeper.retire(START_NS + 2 * DAY_NS) == 2
    assert rows_of(kept.query.raw([1], ALWAYS, limit=9)) == DAYS[2:]


def test_d30_roll_ups_go_slice_by_slice(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SLICE", 2)
    kept.keeper.retire(START_NS + 3 * DAY_NS)
    assert [kept.count(level.name) for level in LEVELS] == [2, 2, 2]
    with psycopg.connect(kept.url) as db:
        db.execute("SET enable_seqscan = off")
        for level in LEVELS:
            question = f"EXPLAIN SELECT 1 FROM {level.name} WHERE bucket < now()"  # noqa: S608
            plan = db.execute(question.encode()).fetchall()
            assert f"ix_{level.name}_bucket" in str(plan)


def test_d30_days_that_share_a_partition_go_one_by_one(kept: Kept) -> None:
    long_ago_ns = START_NS - 3650 * DAY_NS
    old: list[Row] = [(1, long_ago_ns + n * 3 * DAY_NS, float(n), 0, 1) for n in range(3)]
    kept.rows.commit(old)
    assert kept.keeper.retire(long_ago_ns + 4 * DAY_NS) == 2
    assert kept.keeper.retire(long_ago_ns + 4 * DAY_NS) == 0
    assert rows_of(kept.query.raw([1], ALWAYS, limit=9)) == [old[2], *DAYS]


@pytest.mark.timeout(30)
def test_api033_downloads_that_are_left_alone_hold_nothing(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE_ROWS", 2)
    left_alone = [kept.query.export([1], ALWAYS) for _ in range(6)]
    assert [rows_of(next(one)) for one in left_alone] == [DAYS[:2]] * 6
    assert kept.keeper.retire(START_NS + DAY_NS) == 1
    late: Row = (1, START_NS + 4 * DAY_NS + SECOND_NS, 9.0, 0, 1)
    kept.rows.commit([(1, START_NS + DAY_NS, 9.0, 0, 1), late])
    for one in left_alone:
        assert [row for page in one for row in rows_of(page)] == [*DAYS[2:], late]
