"""Rows of the SQLite store that serve follows by id, and its counts; see `ports.live.LiveRows`.

Each call is one short read transaction: an open one would keep the write-ahead log from being
checkpointed.
Source: D-20, D-33, API-069, API-100.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from millrace.model.series import SeriesKey
from millrace.ports.live import SequenceSummary
from millrace.ports.registry import EventView, SeriesRow
from millrace.store.sqlite import open_store, reading

_EVENTS: Final = (
    "SELECT id, position, device_id, type, time_ns, data FROM events WHERE id > ?"
    " ORDER BY id LIMIT ?"
)
_SERIES: Final = (
    "SELECT series_id, device_id, metric, channel, unit FROM series WHERE series_id > ?"
    " ORDER BY series_id LIMIT ?"
)
_SEQUENCE: Final = (
    "SELECT t.last_seq, t.epoch, t.gap_count, t.duplicates, t.resets, t.updated_at, s.packed"
    " FROM device_seq_tracking t LEFT JOIN sequence_states s ON s.device_id = t.device_id"
    " WHERE t.device_id = ?"
)


class SqliteLiveRows:
    """The reading end."""

    def __init__(self, path: Path) -> None:
        self._db = open_store(path, read_only=True)

    def events_after(self, event_id: int, limit: int = 1000) -> list[EventView]:
        return [
            EventView(number, position, device_id, type_, time_ns, json.loads(data))
            for number, position, device_id, type_, time_ns, data in self._all(
                _EVENTS, (event_id, limit)
            )
        ]

    def newest_event(self) -> int:
        return int(self._all("SELECT coalesce(max(id), 0) FROM events", ())[0][0])

    def series_after(self, series_id: int, limit: int = 10_000) -> list[SeriesRow]:
        rows = self._all(_SERIES, (series_id, limit))
        return [SeriesRow(number, SeriesKey(*key), unit) for number, *key, unit in rows]

    def device_counts(self) -> Mapping[str, int]:
        rows = self._all("SELECT status, count(*) FROM devices GROUP BY status", ())
        return {str(status): int(count) for status, count in rows}

    def sequence(self, device_id: str) -> SequenceSummary | None:
        rows = self._all(_SEQUENCE, (device_id,))
        return SequenceSummary(*rows[0]) if rows else None

    def close(self) -> None:
        self._db.close()

    def _all(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with reading(self._db):
            return self._db.execute(query, values).fetchall()
