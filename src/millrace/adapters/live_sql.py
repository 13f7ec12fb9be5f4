"""Rows of the store that serve follows by id, and its counts; see `ports.live.LiveRows`.

Each call is one short read transaction: an open one would keep SQLite from checkpointing.
Source: D-20, D-33, API-069, API-100.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from millrace.model.series import SeriesKey
from millrace.ports.live import SequenceSummary
from millrace.ports.registry import EventView, SeriesRow
from millrace.schema.tables import Row, Tables

_EVENTS: Final = (
    "SELECT id, position, device_id, type, time_ns, data FROM events WHERE id > :after"
    " ORDER BY id LIMIT :limit"
)
_SERIES: Final = (
    "SELECT series_id, device_id, metric, channel, unit FROM series WHERE series_id > :after"
    " ORDER BY series_id LIMIT :limit"
)
_SEQUENCE: Final = (
    "SELECT last_seq, epoch, gap_count, duplicates, resets, updated_at, state"
    " FROM device_seq_tracking WHERE device_id = :device_id"
)


class SqlLiveRows:
    """The reading end."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def events_after(self, event_id: int, limit: int = 1000) -> list[EventView]:
        return [
            EventView(number, position, device_id, type_, time_ns, json.loads(data))
            for number, position, device_id, type_, time_ns, data in self._all(
                _EVENTS, after=event_id, limit=limit
            )
        ]

    def newest_event(self) -> int:
        return int(self._all("SELECT coalesce(max(id), 0) FROM events")[0][0])

    def series_after(self, series_id: int, limit: int = 10_000) -> list[SeriesRow]:
        rows = self._all(_SERIES, after=series_id, limit=limit)
        return [SeriesRow(number, SeriesKey(*key), unit) for number, *key, unit in rows]

    def device_counts(self) -> Mapping[str, int]:
        rows = self._all("SELECT status, count(*) FROM devices GROUP BY status")
        return {str(status): int(count) for status, count in rows}

    def sequence(self, device_id: str) -> SequenceSummary | None:
        rows = self._all(_SEQUENCE, device_id=device_id)
        if not rows:
            return None
        last_seq, epoch, gaps, duplicates, resets, updated_at, state = rows[0]
        missing = tuple(json.loads(state).get("missing", ()))
        return SequenceSummary(last_seq, epoch, gaps, duplicates, resets, updated_at, missing)

    def close(self) -> None:
        self._tables.close()

    def _all(self, query: str, /, **values: Any) -> list[Row]:
        with self._tables.reading() as asked:
            return asked.rows(query, **values)
