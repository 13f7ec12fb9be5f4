"""Rows that serve follows, from every database."""

import pytest

from millrace.adapters.live_sql import SqlLiveRows
from millrace.model.series import SeriesKey
from millrace.ports.live import LiveRows, SequenceSummary
from tests.contracts.registry import fill
from tests.servers.tables import Stored


@pytest.fixture
def rows(stored: Stored) -> LiveRows:
    fill(stored.insert)
    stored.insert(
        "device_seq_tracking",
        {
            "device_id": "m-1",
            "last_seq": 41,
            "epoch": 2,
            "gap_count": 3,
            "state": '{"missing":[7,40]}',
            "updated_at": "2026-03-01T12:00:00.000000Z",
        },
    )
    return SqlLiveRows(stored.open())


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
