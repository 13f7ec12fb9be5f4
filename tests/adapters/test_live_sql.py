"""Rows that serve follows, from a real SQLite store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millrace.adapters.live_sql import SqlLiveRows
from millrace.model.series import SeriesKey
from millrace.ports.live import LiveRows, SequenceSummary
from millrace.store.sqlite import migrate, open_store
from millrace.store.tables import open_tables
from tests.contracts.registry import fill


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[LiveRows]:
    path = tmp_path / "millrace.db"
    migrate(path)
    db = open_store(path)

    def insert(table: str, row: dict[str, Any]) -> None:
        marks = ", ".join("?" * len(row))
        db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608 - names of the test

    fill(insert)
    db.execute(
        "INSERT INTO device_seq_tracking (device_id, last_seq, epoch, gap_count, state, updated_at)"
        " VALUES ('m-1', 41, 2, 3, '{\"missing\":[7,40]}', '2026-03-01T12:00:00.000000Z')"
    )
    db.close()
    rows = SqlLiveRows(open_tables(path))
    yield rows
    rows.close()


def test_events_and_series_are_followed_by_id(rows: LiveRows) -> None:
    newest = rows.newest_event()
    everything = rows.events_after(0)
    assert [event.id for event in everything] == list(range(1, newest + 1))
    assert rows.events_after(newest) == []
    assert [event.id for event in rows.events_after(2, limit=2)] == [3, 4]
    series = rows.series_after(0)
    assert [row.series_id for row in series] == sorted(row.series_id for row in series)
    assert isinstance(series[0].key, SeriesKey)
    assert rows.series_after(series[0].series_id) == series[1:]


def test_api_100_devices_are_counted_by_status(rows: LiveRows) -> None:
    counts = rows.device_counts()
    assert counts["maintenance"] == 1
    assert sum(counts.values()) == 4


def test_api_069_sequence_with_what_is_missing(rows: LiveRows) -> None:
    assert rows.sequence("nobody") is None
    assert rows.sequence("m-1") == SequenceSummary(
        41, 2, 3, 0, 0, "2026-03-01T12:00:00.000000Z", (7, 40)
    )
