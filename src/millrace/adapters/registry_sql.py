"""Devices, series, events and counters as the API reads them.

Each call is one short read transaction: an open one would keep SQLite from checkpointing.
Statements are fixed texts; a filter that is not set is a NULL parameter.
Source: API-060 to API-062, API-072, REG-020, MON-030.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from millrace.errors import NotFoundError
from millrace.model.series import SeriesKey
from millrace.ports.registry import DeviceQuery, EventQuery, EventView, SeriesRow
from millrace.schema.tables import Questions, Row, Tables

_COLUMNS: Final = (
    "id", "device_id", "family", "role", "registered", "device_name", "device_type",
    "device_template_id", "claiming_code", "claimed_at", "claimed_by", "serial_number", "uuid",
    "mac_address", "ip_address", "pcb_version", "fw_version", "location", "latitude", "longitude",
    "time_zone", "group_path", "status", "last_seen", "connection_status", "installation_date",
    "last_maintenance", "credential_ref", "metadata", "created_at", "updated_at",
)  # fmt: skip
_DEVICE: Final = f"SELECT {', '.join(_COLUMNS)} FROM devices"  # noqa: S608 - own names
_DEVICES: Final = (
    f"{_DEVICE} WHERE (:status IS NULL OR status = :status)"
    " AND (:device_type IS NULL OR device_type = :device_type)"
    " AND (:family IS NULL OR family = :family)"
    # A group covers itself and what is below it, by whole segments (REG-065).
    " AND (:group IS NULL OR group_path = :group"
    " OR substr(group_path, 1, length(:below)) = :below)"
    " AND (:connection IS NULL OR connection_status = :connection)"
    " AND (:registered IS NULL OR registered = :registered)"
    " AND (:text IS NULL OR lower(device_id) LIKE lower(:text) ESCAPE '!'"
    " OR lower(device_name) LIKE lower(:text) ESCAPE '!')"
    " AND (:after_at IS NULL OR (created_at, id) < (:after_at, :after_id))"
    " ORDER BY created_at DESC, id DESC LIMIT :limit"
)
_SERIES: Final = (
    "SELECT series_id, device_id, metric, channel, unit FROM series"
    " WHERE (:metrics IS NULL OR metric IN (SELECT k.value FROM texts(:metrics) k))"
    " AND (:channels IS NULL OR channel IN (SELECT k.value FROM texts(:channels) k))"
    " ORDER BY series_id"
)
# Of its own, so that the devices drive the index on (device_id, metric, channel).
_SERIES_OF_DEVICES: Final = (
    "SELECT s.series_id, s.unit"
    " FROM (SELECT DISTINCT k.value FROM texts(:devices) k) d"
    " CROSS JOIN series s ON s.device_id = d.value"
    " WHERE (:metrics IS NULL OR s.metric IN (SELECT k.value FROM texts(:metrics) k))"
    " AND (:channels IS NULL OR s.channel IN (SELECT k.value FROM texts(:channels) k))"
    " ORDER BY s.series_id"
)
_SERIES_BY_ID: Final = (
    "SELECT s.series_id, s.device_id, s.metric, s.channel, s.unit"
    " FROM numbers(:ids) k CROSS JOIN series s ON s.series_id = k.value"
)
_MAX_KNOWN_SERIES: Final = 50_000
_ATTRIBUTES: Final = (
    "SELECT a.attr_id, a.body FROM numbers(:ids) k CROSS JOIN attributes a ON a.attr_id = k.value"
)
_EVENTS: Final = (
    "SELECT id, position, device_id, type, time_ns, data FROM events WHERE device_id = :device_id"
    " AND (:type IS NULL OR type = :type)"
    " AND time_ns >= :start_ns AND time_ns < :stop_ns"
    " AND (:after_id IS NULL OR (time_ns, id) <"
    " (SELECT time_ns, id FROM events WHERE id = :after_id))"
    " ORDER BY time_ns DESC, id DESC LIMIT :limit"
)
_ALL_TIME: Final = (-(2**63), 2**63 - 1)


class SqlRegistry:
    """Read access for the API; see `ports.registry.Registry`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._known: dict[int, SeriesRow] = {}

    def devices(self, query: DeviceQuery) -> list[dict[str, Any]]:
        after_at, after_id = query.after or (None, None)
        group = query.group_path
        values = {
            "status": query.status,
            "device_type": query.device_type,
            "family": query.family,
            "group": group,
            "below": None if group is None else group.rstrip("/") + "/",
            "connection": query.connection_status,
            "registered": query.registered,
            "text": None if query.text is None else _containing(query.text),
            "after_at": after_at,
            "after_id": after_id,
            "limit": query.limit,
        }
        return [_device(row) for row in self._all(_DEVICES, **values)]

    def device(self, device_id: str) -> dict[str, Any]:
        rows = self._all(f"{_DEVICE} WHERE device_id = :device_id", device_id=device_id)
        if not rows:
            raise NotFoundError(f"there is no device {device_id}")
        return _device(rows[0])

    def series(
        self,
        device_ids: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
        channels: Sequence[str] | None = None,
    ) -> list[SeriesRow]:
        filters = {"metrics": _list(metrics), "channels": _list(channels)}
        if device_ids is None:
            return [_series(row) for row in self._all(_SERIES, **filters)]
        with self._tables.reading() as asked:
            found = asked.rows(_SERIES_OF_DEVICES, devices=list(device_ids), **filters)
            return self._named(asked, found)

    def _named(self, asked: Questions, found: list[Row]) -> list[SeriesRow]:
        """Return the series with these ids and units; who has which id never changes."""
        known = self._known
        unsure = [
            number for number, unit in found if number not in known or known[number].unit != unit
        ]
        if unsure:
            if len(known) + len(unsure) > _MAX_KNOWN_SERIES:
                known.clear()
                unsure = [number for number, _ in found]
            rows = asked.rows(_SERIES_BY_ID, ids=unsure)
            known.update((row[0], _series(row)) for row in rows)
        return [known[number] for number, _ in found]

    def attributes(self, attr_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        rows = self._all(_ATTRIBUTES, ids=[int(each) for each in attr_ids])
        return {number: json.loads(body) for number, body in rows}

    def events(self, query: EventQuery) -> list[EventView]:
        start_ns, stop_ns = _ALL_TIME
        values = {
            "device_id": query.device_id,
            "type": query.type,
            "start_ns": start_ns if query.start_ns is None else query.start_ns,
            "stop_ns": stop_ns if query.stop_ns is None else query.stop_ns,
            "after_id": query.after_id,
            "limit": query.limit,
        }
        return [
            EventView(number, position, device_id, type_, time_ns, json.loads(data))
            for number, position, device_id, type_, time_ns, data in self._all(_EVENTS, **values)
        ]

    def counters(self) -> dict[tuple[str, str, str], int]:
        rows = self._all("SELECT outcome, family, detail, count FROM counters")
        return {(outcome, family, detail): number for outcome, family, detail, number in rows}

    def close(self) -> None:
        """Release the connection."""
        self._tables.close()

    def _all(self, query: str, /, **values: Any) -> list[Row]:
        with self._tables.reading() as asked:
            return asked.rows(query, **values)


def _series(row: tuple[Any, ...]) -> SeriesRow:
    number, device_id, metric, channel, unit = row
    return SeriesRow(number, SeriesKey(device_id, metric, channel), unit)


def _device(row: tuple[Any, ...]) -> dict[str, Any]:
    device = dict(zip(_COLUMNS, row, strict=True))
    device["registered"] = bool(device["registered"])
    device["metadata"] = json.loads(device["metadata"])
    return device


def _list(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def _containing(text: str) -> str:
    """Return the pattern of texts that contain this one."""
    escaped = re.sub(r"([!%_])", r"!\1", text)
    return f"%{escaped}%"
