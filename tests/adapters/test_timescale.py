"""Ledger and history where TimescaleDB keeps the readings: the same promises, compressed or not.

TimescaleDB is in no registry: without it these tests are skipped, also in CI, and say so.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from millrace.adapters.series_postgres import PostgresQuery, PostgresSeries
from tests.adapters import test_ledger_postgres, test_series_postgres
from tests.adapters.test_series_postgres import CommittedRows
from tests.contracts.hot_memory import ALWAYS, DAY_NS, SECOND_NS, START_NS, rows_of
from tests.servers.postgres import FAST, Postgres, running_postgres
from tests.servers.stores import prepared

pytestmark = pytest.mark.services

PRELOADED = {
    **FAST,
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
}
IS_THERE = "SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'"


@pytest.fixture(scope="module")
def timescale(postgres: Postgres) -> Iterator[Postgres]:
    if postgres.ask(IS_THERE) == [(0,)]:
        pytest.skip("TimescaleDB is not installed; it has to be built from its source")
    with running_postgres(settings=PRELOADED) as server:
        yield server


@pytest.fixture
def migrated_url(timescale: Postgres) -> Iterator[str]:
    name = timescale.make_database(template="template0")
    timescale.ask("CREATE EXTENSION timescaledb", name)
    yield prepared(timescale.url(name))
    timescale.drop_database(name)


@pytest.fixture
def url(migrated_url: str) -> str:
    return migrated_url


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class TestTimescaleLedger(test_ledger_postgres.TestPostgresLedger):
    pass


class TestTimescaleSeries(test_series_postgres.TestPostgresSeries):
    pass


def test_d29_late_and_replaced_readings_of_compressed_days(migrated_url: str) -> None:
    rows = [(n % 5 + 1, START_NS + n * SECOND_NS, float(n), 0, 1) for n in range(5_000)]
    with (
        closing(CommittedRows(migrated_url)) as hot,
        closing(PostgresQuery(migrated_url)) as query,
        closing(PostgresSeries(migrated_url)) as keeper,
    ):
        hot.commit(rows)
        with psycopg.connect(migrated_url) as db:
            done = db.execute("SELECT count(compress_chunk(c)) FROM show_chunks('readings') c")
            assert done.fetchone() == (1,)
            db.execute("ALTER DATABASE " + db.info.dbname + " SET"
                       " timescaledb.max_tuples_decompressed_per_dml_transaction = 10")  # fmt: skip
        late = (1, START_NS + SECOND_NS // 2, -1.0, 0, 1)
        replaced = (1, START_NS, -2.0, 4, 2)
        hot.commit([late, replaced, (9, START_NS, 9.0, 0, 1), (1, START_NS + DAY_NS, 1.0, 0, 1)])
        found = rows_of(query.raw([1], ALWAYS, limit=3))
        assert found == [replaced, late, (1, START_NS + 5 * SECOND_NS, 5.0, 0, 1)]
        (summary,) = query.summary([1]).to_pylist()
        assert summary["count"] == 1002
        assert keeper.retire(START_NS + DAY_NS) == 1
        assert rows_of(query.latest([1, 9])) == [(1, START_NS + DAY_NS, 1.0, 0, 1)]


@pytest.mark.timeout(30)
def test_d30_what_somebody_reads_is_retired_the_next_time(migrated_url: str) -> None:
    rows = [(1, START_NS + n * DAY_NS, float(n), 0, 1) for n in range(3)]
    with (
        closing(CommittedRows(migrated_url)) as hot,
        closing(PostgresSeries(migrated_url)) as keeper,
    ):
        hot.commit(rows)
        with psycopg.connect(migrated_url) as db:
            # Its job would wait for the reader as well, and the commit for the job.
            db.execute("SELECT remove_compression_policy('readings')")
        with psycopg.connect(migrated_url) as reader:
            reader.execute("SELECT count(*) FROM readings")
            assert keeper.retire(START_NS + 2 * DAY_NS) == 0
            hot.commit([(1, START_NS + SECOND_NS, 9.0, 0, 1)])
        assert keeper.retire(START_NS + 2 * DAY_NS) == 2
