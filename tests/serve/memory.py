"""The ports of serve in memory: a fleet, its series, its readings, its events, all committed here.

`Town` is small and real: what is committed to it is seen by every port, in commit order.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from millrace.errors import NotFoundError, RejectError
from millrace.flow.hot_frame import seal_hot
from millrace.model.series import SeriesKey
from millrace.model.work import Readings
from millrace.ports.ledger import HotBatch
from millrace.ports.live import SequenceSummary
from millrace.ports.registry import DeviceQuery, EventQuery, EventView, SeriesRow
from millrace.ports.series import READING_SCHEMA, Every, Span

Row = tuple[int, int, float, int, int]
WIDTHS_NS = {"s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
BORN = "2026-02-12T10:00:00.000000Z"
UNITS = ("", "V", "°C")


class Town:
    """All that the ports show."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.series: list[SeriesRow] = []
        self.readings: dict[tuple[int, int], Row] = {}
        self.batches: list[HotBatch] = []
        self.sealed_through = 0
        self.events: list[EventView] = []
        self.sequences: dict[str, SequenceSummary] = {}
        self.counts: dict[tuple[str, str, str], int] = {}
        self.block: Callable[[], None] = lambda: None

    def add_device(self, device_id: str, **columns: Any) -> dict[str, Any]:
        number = len(self.rows) + 1
        row = {
            "id": number, "device_id": device_id, "family": "meter", "role": "standalone",
            "device_name": device_id, "device_type": None, "location": None, "status": "active",
            "connection_status": "unknown", "last_seen": None, "fw_version": None,
            "registered": True, "installation_date": None, "last_maintenance": None,
            "metadata": {}, "created_at": BORN, "updated_at": BORN, "group_path": "/",
            "claiming_code": "hidden", "credential_ref": "hidden", **columns,
        }  # fmt: skip
        self.rows[device_id] = row
        return row

    def series_id(self, device_id: str, metric: str, channel: str = "") -> int:
        key = SeriesKey(device_id, metric, channel)
        for row in self.series:
            if row.key == key:
                return row.series_id
        self.series.append(SeriesRow(len(self.series) + 1, key, None))
        return len(self.series)

    def commit(self, rows: Sequence[Row], at_ns: int) -> int:
        """Commit (series, time, value, flags, attr) as one hot batch; return its id."""
        number = len(self.batches) + 1
        columns = [np.array(column) for column in zip(*rows, strict=True)]
        empty = np.zeros(len(rows), np.int64)
        frame = seal_hot(
            Readings(
                columns[0].astype(np.int64), columns[4].astype(np.int64),
                columns[1].astype(np.int64), columns[2].astype(np.float64),
                columns[3].astype(np.int16), empty + at_ns, empty,
            )
        )  # fmt: skip
        for row in rows:
            self.readings[row[0], row[1]] = row
        self.batches.append(HotBatch(number, at_ns, len(rows), frame))
        return number

    def say(self, device_id: str, type_: str, time_ns: int, **data: Any) -> int:
        number = len(self.events) + 1
        position = (1 << 48) | number
        self.events.append(EventView(number, position, device_id, type_, time_ns, data))
        return number


class MemoryRegistry:
    """See `ports.registry.Registry`."""

    def __init__(self, town: Town) -> None:
        self._town = town

    def devices(self, query: DeviceQuery) -> list[dict[str, Any]]:
        rows = sorted(
            self._town.rows.values(), key=lambda row: (row["created_at"], row["id"]), reverse=True
        )
        return [row for row in rows if _matches(row, query)][: query.limit]

    def device(self, device_id: str) -> dict[str, Any]:
        if device_id not in self._town.rows:
            raise NotFoundError(device_id)
        return self._town.rows[device_id]

    def series(
        self,
        device_ids: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
        channels: Sequence[str] | None = None,
    ) -> list[SeriesRow]:
        return [
            row
            for row in self._town.series
            if (device_ids is None or row.key.device_id in device_ids)
            and (metrics is None or row.key.metric in metrics)
            and (channels is None or row.key.channel in channels)
        ]

    def attributes(self, attr_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        return {number: {"unit": UNITS[number] or None, "pin": 3} for number in attr_ids}

    def events(self, query: EventQuery) -> list[EventView]:
        start, stop = query.start_ns or 0, query.stop_ns or 2**63 - 1
        found = [
            event
            for event in reversed(self._town.events)
            if event.device_id == query.device_id
            and query.type in (None, event.type)
            and start <= event.time_ns < stop
            and (query.after_id is None or event.id < query.after_id)
        ]
        return found[: query.limit]

    def counters(self) -> dict[tuple[str, str, str], int]:
        return dict(self._town.counts)


class MemorySeriesQuery:
    """See `ports.series.SeriesQuery`."""

    def __init__(self, town: Town) -> None:
        self._town = town

    def raw(
        self, series_ids: Sequence[int], span: Span, *, limit: int, descending: bool = False,
        after: tuple[int, int] | None = None,
    ) -> pa.Table:  # fmt: skip
        self._town.block()
        rows = sorted(self._in(series_ids, span), key=lambda row: (row[1], row[0]))
        if descending:
            rows.reverse()
        if after is not None:
            rows = [
                row
                for row in rows
                if ((row[1], row[0]) < after if descending else (row[1], row[0]) > after)
            ]
        return _table(rows[:limit])

    def aggregate(
        self, series_ids: Sequence[int], span: Span, every: Every, functions: Sequence[str],
        *, limit: int,
    ) -> pa.Table:  # fmt: skip
        width = every.count * WIDTHS_NS[every.unit]
        found: dict[tuple[int, int], list[float]] = {}
        for series, time_ns, value, _flags, _attr in sorted(self._in(series_ids, span)):
            found.setdefault((series, time_ns // width * width), []).append(value)
        if len(found) > limit:
            raise RejectError("too_many_points")
        columns: dict[str, list[Any]] = {
            "series_id": [key[0] for key in sorted(found)],
            "time_ns": [key[1] for key in sorted(found)],
        }
        for name in functions:
            columns[name] = [_FUNCTIONS[name](found[key]) for key in sorted(found)]
        return pa.table(columns)

    def latest(self, series_ids: Sequence[int] | None = None) -> pa.Table:
        newest: dict[int, Row] = {}
        for row in sorted(self._town.readings.values(), key=lambda row: row[1]):
            newest[row[0]] = row
        return _table(
            [row for row in newest.values() if series_ids is None or row[0] in series_ids]
        )

    def summary(self, series_ids: Sequence[int]) -> pa.Table:
        times: dict[int, list[int]] = {}
        for series, time_ns, *_ in self._town.readings.values():
            if series in series_ids:
                times.setdefault(series, []).append(time_ns)
        return pa.table(
            {
                "series_id": list(times),
                "first_ns": [min(each) for each in times.values()],
                "last_ns": [max(each) for each in times.values()],
                "count": [len(each) for each in times.values()],
            }
        )

    def export(self, series_ids: Sequence[int], span: Span) -> Iterator[pa.RecordBatch]:
        for series_id in series_ids:
            self._town.block()
            rows = sorted(self._in([series_id], span))
            if rows:
                yield from _table(rows).to_batches()

    def refresh(self) -> int:
        return len(self._town.batches)

    def _in(self, series_ids: Sequence[int], span: Span) -> list[Row]:
        wanted = set(series_ids)
        return [
            row
            for row in list(self._town.readings.values())
            if row[0] in wanted and span.start_ns <= row[1] < span.stop_ns
        ]


class MemoryHot:
    """See `ports.ledger.HotReadings`."""

    def __init__(self, town: Town) -> None:
        self._town = town

    def hot(self, after_id: int, limit: int = 1000) -> list[HotBatch]:
        first = max(after_id, self._town.sealed_through)
        return self._town.batches[first : first + limit]

    def forget_hot(self, up_to_id: int) -> int:
        gone = up_to_id - self._town.sealed_through
        self._town.sealed_through = up_to_id
        return gone

    def close(self) -> None:
        return


class MemoryLiveRows:
    """See `ports.live.LiveRows`."""

    def __init__(self, town: Town) -> None:
        self._town = town

    def events_after(self, event_id: int, limit: int = 1000) -> list[EventView]:
        return self._town.events[event_id : event_id + limit]

    def newest_event(self) -> int:
        return len(self._town.events)

    def series_after(self, series_id: int, limit: int = 10_000) -> list[SeriesRow]:
        return self._town.series[series_id : series_id + limit]

    def device_counts(self) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        for row in self._town.rows.values():
            counts[row["status"]] = counts.get(row["status"], 0) + 1
        return counts

    def sequence(self, device_id: str) -> SequenceSummary | None:
        return self._town.sequences.get(device_id)

    def close(self) -> None:
        return


_FUNCTIONS: dict[str, Callable[[list[float]], float]] = {
    "mean": lambda values: sum(values) / len(values),
    "min": min,
    "max": max,
    "sum": sum,
    "count": len,
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
}


def _matches(row: dict[str, Any], query: DeviceQuery) -> bool:
    after = query.after
    text = (query.text or "").lower()
    return (
        query.status in (None, row["status"])
        and query.device_type in (None, row["device_type"])
        and query.family in (None, row["family"])
        and query.group_path in (None, row["group_path"])
        and query.connection_status in (None, row["connection_status"])
        and query.registered in (None, row["registered"])
        and (text in row["device_id"].lower() or text in row["device_name"].lower())
        and (after is None or (row["created_at"], row["id"]) < after)
    )


def _table(rows: Sequence[Row]) -> pa.Table:
    arrays = [
        pa.array([row[at] for row in rows], field.type) for at, field in enumerate(READING_SCHEMA)
    ]
    return pa.Table.from_arrays(arrays, schema=READING_SCHEMA)
