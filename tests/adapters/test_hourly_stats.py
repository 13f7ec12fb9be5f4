"""The view of hours: whole at every moment, and told from roll-ups where these are complete."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from millrace.adapters.series_postgres import PostgresSeries
from tests.adapters.test_series_postgres import CommittedRows, ask, rows_in
from tests.contracts.hot_memory import SECOND_NS
from tests.contracts.series import HOUR_NS

pytestmark = pytest.mark.services


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def test_f2_140_hours_are_there_while_sealing_is_behind(
    migrated_url: str, stack: ExitStack
) -> None:
    rows = stack.enter_context(closing(CommittedRows(migrated_url)))
    keeper = stack.enter_context(closing(PostgresSeries(migrated_url)))
    hour_ns = time.time_ns() // HOUR_NS * HOUR_NS
    for age in (12, 6, 5, 0):
        rows.commit([(1, hour_ns - age * HOUR_NS + SECOND_NS, float(age), 0, 1)])
        made(migrated_url, rows.newest, hour_ns - age * HOUR_NS + 2 * SECOND_NS)
    assert hours(migrated_url) == [12.0, 6.0, 5.0, 0.0]
    keeper.seal(rows_in(rows.hot(0, 2)), 2)
    assert hours(migrated_url) == [12.0, 6.0, 5.0, 0.0]
    with psycopg.connect(migrated_url) as db:
        db.execute("UPDATE readings_1h SET sum = sum + 100")
    assert hours(migrated_url) == [112.0, 6.0, 5.0, 0.0]


def made(url: str, batch: int, at_ns: int) -> None:
    with psycopg.connect(url) as db:
        db.execute("UPDATE hot_batches SET committed_at_ns = %s WHERE id = %s", (at_ns, batch))


def hours(url: str) -> list[float]:
    return [row[0] for row in ask(url, "SELECT avg FROM iot_hourly_stats ORDER BY bucket")]
