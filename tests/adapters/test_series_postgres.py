"""History as rows keeps the contract, and answers as the table of sealed files does."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from millrace.adapters.hot_postgres import PostgresHotReadings
from millrace.adapters.ledger_postgres import PostgresLedger
from millrace.adapters.series_delta import DeltaQuery, DeltaSeries
from millrace.adapters.series_postgres import PostgresQuery, PostgresSeries, aggregates
from millrace.errors import RejectError
from millrace.flow.hot_frame import open_hot
from millrace.model.work import Advance, Readings
from millrace.ports.ledger import HotBatch, HotReadings
from millrace.ports.series import AGGREGATES, READING_SCHEMA, Every, SeriesQuery, SeriesWriter, Span
from tests.contracts.hot_memory import (
    ALWAYS,
    DAY_NS,
    SECOND_NS,
    START_NS,
    MemoryHot,
    Row,
    readings,
)
from tests.contracts.ledger import effects
from tests.contracts.series import HOUR_NS, IDS, Commits, Rig, SeriesContract

pytestmark = pytest.mark.services


class CommittedRows:
    """Hot batches of a real ledger; `commit` is what the pump does.

    Every series has its row, as in a real store; here the tests choose the ids.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._ledger = PostgresLedger(url)
        self._hot = PostgresHotReadings(url)
        self._ledger.claim("process", "raw", [0])
        self._commits = 0
        self.newest = 0

    def commit(self, rows: Sequence[Row], committed_at_ns: int = START_NS) -> int:
        with psycopg.connect(self._url) as db:
            db.execute(
                "INSERT INTO series (series_id, device_id, metric, created_at)"
                " SELECT id, 'd' || id, 'm', '' FROM unnest(%s::integer[]) AS n (id)"
                " ON CONFLICT DO NOTHING",
                (list({row[0] for row in rows}),),
            )
        return self.write(readings(rows))

    def write(self, rows: Readings) -> int:
        work = effects(Advance(0, self._commits, self._commits + 1), rows=rows)
        self._commits += 1
        self.newest = self._ledger.commit(work).commit_id
        return self.newest

    def hot(self, after_id: int, limit: int = 1000) -> list[HotBatch]:
        return self._hot.hot(after_id, limit)

    def forget_hot(self, up_to_id: int) -> int:
        with psycopg.connect(self._url) as db:
            db.execute("UPDATE commits SET covered_id = last_id")
        return self._hot.forget_hot(up_to_id)

    def close(self) -> None:
        self._ledger.close()
        self._hot.close()


class CommittingSeries(PostgresSeries):
    """Readings are in the store before they are sealed; a test that only seals commits first."""

    def __init__(self, url: str, hot: CommittedRows) -> None:
        super().__init__(url)
        self._hot = hot

    def seal(self, rows: pa.Table, last_batch_id: int) -> None:
        if self._hot.newest < last_batch_id and self.sealed_through() < last_batch_id:
            self._hot.commit([tuple(row.values()) for row in rows.to_pylist()])
        super().seal(rows, last_batch_id)


class TestPostgresSeries(SeriesContract):
    @pytest.fixture(autouse=True)
    def _store(self, migrated_url: str) -> Iterator[None]:
        self.url = migrated_url
        with ExitStack() as stack:
            self.stack = stack
            self.committed = stack.enter_context(closing(CommittedRows(migrated_url)))
            yield

    def make_writer(self) -> SeriesWriter:
        return self.stack.enter_context(closing(CommittingSeries(self.url, self.committed)))

    def make_query(
        self, hot: HotReadings, latest_source: Callable[[], pa.Table] | None = None
    ) -> SeriesQuery:
        return self.stack.enter_context(closing(PostgresQuery(self.url)))

    @pytest.fixture
    def rig(self) -> Rig:
        hot: Commits = self.committed
        return Rig(self.make_writer(), hot, self.make_query(hot))


class Both:
    """The same commits in rows and in sealed files."""

    def __init__(self, url: str, folder: Path, stack: ExitStack) -> None:
        self.rows = stack.enter_context(closing(CommittedRows(url)))
        self.keeper = stack.enter_context(closing(PostgresSeries(url)))
        self.query = stack.enter_context(closing(PostgresQuery(url)))
        self._hot = MemoryHot()
        self._files = stack.enter_context(closing(DeltaSeries(folder, now_ns=lambda: START_NS)))
        self.other = stack.enter_context(closing(DeltaQuery(folder, self._hot)))

    def commit(self, rows: list[Row]) -> None:
        self.rows.commit(rows)
        self._hot.commit(rows)

    def seal(self) -> None:
        waiting = self._hot.hot(self._files.sealed_through())
        sealed = rows_in(waiting)
        self._files.seal(sealed, waiting[-1].id)
        self.keeper.seal(sealed, waiting[-1].id)
        self._hot.forget_hot(waiting[-1].id)

    def check(self, span: Span) -> None:
        self.query.refresh()
        self.other.refresh()
        both = (self.query, self.other)
        for descending in (False, True):
            one, other = (
                each.raw(IDS, span, limit=100_000, descending=descending) for each in both
            )
            assert one.equals(other)
        one, other = (each.latest() for each in both)
        assert one.equals(other)
        one, other = (each.summary(IDS) for each in both)
        assert one.equals(other)
        ids = [IDS[3], IDS[0], IDS[3], IDS[1], 12345]
        one, other = (pa.Table.from_batches(each.export(ids, span)) for each in both)
        assert one.equals(other)
        for every in EVERIES:
            one, other = (
                each.aggregate(IDS, span, every, AGGREGATES, limit=100_000) for each in both
            )
            assert one.equals(other), every


EVERIES = (Every(90, "s"), Every(1, "h"), Every(1, "d", "Europe/Berlin"), Every(1, "w"))


@pytest.fixture
def both(migrated_url: str, tmp_path: Path) -> Iterator[Both]:
    with ExitStack() as stack:
        yield Both(migrated_url, tmp_path / "series", stack)


def test_d53_rows_and_files_answer_the_same_to_the_last_digit(both: Both) -> None:
    random = Random(53)
    for step in range(12):
        at_ns = START_NS + step * 5 * HOUR_NS
        commit = [row(random, at_ns - age_ns) for age_ns in ages(random)]
        both.commit(commit + commit[:20])
        both.commit([(*one[:2], one[2] + 0.1, *one[3:]) for one in commit[:10]])
        if step % 3 == 2:
            both.seal()
        both.check(Span(at_ns - 2 * DAY_NS, at_ns + HOUR_NS))
    both.check(ALWAYS)


def ages(random: Random) -> list[int]:
    late = [random.randrange(3 * DAY_NS) for _ in range(10)]
    return [random.randrange(HOUR_NS) for _ in range(150)] + late


def row(random: Random, time_ns: int) -> Row:
    time_ns = time_ns // SECOND_NS * SECOND_NS
    return random.choice(IDS), time_ns, random.gauss(20, 5), random.choice([0, 4]), 1


def rows_in(batches: list[HotBatch]) -> pa.Table:
    frames = [open_hot(batch.frame).select(READING_SCHEMA.names) for batch in batches]
    return pa.Table.from_batches(frames, schema=READING_SCHEMA)


def test_api033_an_export_goes_page_by_page(both: Both) -> None:
    rows: list[Row] = []
    for series, count in ((1, 3), (2, 70_000), (3, 0), (4, 131_072), (5, 2)):
        rows += [(series, START_NS + n * 1_000_000, float(n), 0, 1) for n in range(count)]
    both.rows.write(readings(rows))
    found = pa.Table.from_batches(both.query.export([5, 4, 3, 2, 1], ALWAYS))
    assert found.column("series_id").to_pylist() == [5] * 2 + [4] * 131_072 + [2] * 70_000 + [1] * 3
    times = found.column("time_ns").to_numpy()
    assert (np.diff(times)[found.column("series_id").to_numpy()[1:] == 4][1:] > 0).all()
    assert len(next(both.query.export([1], Span(START_NS + 1, ALWAYS.stop_ns)))) == 2


def test_p10_a_long_question_is_answered_in_parts(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aggregates, "FEW_ROWS", 50)
    monkeypatch.setattr(aggregates, "MANY_ROWS", 100)
    random = Random(10)
    for day in range(12):
        both.commit([row(random, START_NS + day * DAY_NS - age) for age in ages(random)])
    both.check(ALWAYS)
    with pytest.raises(RejectError):
        both.query.aggregate(IDS, ALWAYS, Every(1, "h"), ["mean"], limit=20)


def test_f2_141_roll_ups_follow_late_and_replaced_readings(both: Both, migrated_url: str) -> None:
    both.commit([(1, START_NS + n * 30 * SECOND_NS, float(n), 0, 1) for n in range(300)])
    both.commit([(1, START_NS, 1.7e308, 0, 1), (1, START_NS + 1000, 1.7e308, 0, 1)])
    both.seal()
    hours = "SELECT count, sum, min, max FROM readings_1h WHERE series_id = 1 ORDER BY bucket"
    first, second, third = ask(migrated_url, hours)
    assert (first[0], first[1], first[3]) == (121, None, 1.7e308)
    assert second == (120, float(sum(range(120, 240))), 120.0, 239.0)
    both.commit([(1, START_NS, 0.0, 0, 1), (1, START_NS + 1000, 0.5, 0, 1)])
    both.commit([(1, START_NS + 2 * HOUR_NS, -5.0, 0, 1)])
    both.seal()
    first, second, third = ask(migrated_url, hours)
    assert first == (121, sum(range(120)) + 0.5, 0.0, 119.0)
    assert third[2] == -5.0
    [day] = ask(migrated_url, "SELECT count, min FROM readings_1d WHERE series_id = 1")
    assert day == (301, -5.0)
    both.keeper.retire(START_NS + DAY_NS)
    assert ask(migrated_url, hours) == []


SENSOR = {"connector_mode": "sensor", "component_type": "sensor", "component_id": "3", "topic": "t"}


def test_f2_140_views_show_readings_under_their_documented_names(
    both: Both, migrated_url: str
) -> None:
    now_ns = time.time_ns() // SECOND_NS * SECOND_NS
    with psycopg.connect(migrated_url) as db:
        for number, (device, metric, channel, body) in enumerate(LABELLED, 1):
            db.execute(
                "INSERT INTO series VALUES (%s, %s, %s, %s, 'V', '')",
                (number, device, metric, channel),
            )
            db.execute("INSERT INTO attributes VALUES (%s, %s)", (number, json.dumps(body)))
    old_ns = now_ns - 10 * HOUR_NS
    old_ns -= old_ns % HOUR_NS
    both.rows.write(readings([(n, now_ns - 5, 2.5, 0, n) for n in range(1, len(LABELLED) + 1)]))
    both.rows.write(readings([(1, old_ns, 1.0, 0, 1), (1, old_ns + 1000, 2.0, 0, 1)]))
    both.keeper.seal(rows_in(both.rows.hot(0)), 2)
    found = ask(
        migrated_url,
        "SELECT device_id, connector_mode, component_type, pin_position, unit, value, topic"
        " FROM iot_measurements WHERE value = 2.5 ORDER BY device_id, component_type",
    )
    assert found == [
        ("dev-4", "sensor", "Temperature", "1", "C", 2.5, "t"),
        ("f2-1", "access", "door", "left", None, 2.5, None),
        ("f2-1", "access", "strike", "-1", None, 2.5, None),
        ("f2-1", None, "voltage", "x", None, 2.5, None),
        ("f2-2", "sensor", "sensor", "3/a", None, 2.5, "t"),
    ]
    newest = ask(migrated_url, "SELECT * FROM iot_measurements ORDER BY timestamp DESC LIMIT 10")
    assert [row[5] for row in newest] == [2.5] * 5 + [2.0, 1.0]
    stats = ask(
        migrated_url,
        "SELECT component_type, pin_position, unit, avg, min, max, count FROM iot_hourly_stats"
        " WHERE device_id = 'dev-4' ORDER BY bucket DESC LIMIT 10",
    )
    same = ("Temperature", "1", "C")
    assert stats == [(*same, 2.5, 2.5, 2.5, 1), (*same, 1.5, 1.0, 2.0, 2)]


LABELLED: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("dev-4", "Temperature", "", {**SENSOR, "pin": 1, "data_point_id": 7, "unit": "C"}),
    ("f2-1", "strike.J1", "", {"connector_mode": "access", "component_type": "strike"}),
    ("f2-1", "door.J1", "left", {"connector_mode": "access", "component_type": "door"}),
    ("f2-2", "sensor-3.J1", "a", SENSOR),
    ("f2-1", "voltage", "x", {"topic": "a\x00b"}),
)


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as db:
        return db.execute(query.encode()).fetchall()
