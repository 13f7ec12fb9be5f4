"""What `ports.registry.Registry` means; every adapter passes the same suite.

The adapter under test holds what `fill` has written: rows as SQL that every database takes.
"""

from collections.abc import Callable
from typing import Any

import pytest

from millrace.errors import NotFoundError
from millrace.model.series import SeriesKey
from millrace.ports.registry import DeviceQuery, EventQuery, EventView, Registry, SeriesRow

NOW_NS = 1_751_457_600_000_000_000
DAYS = [f"2025-07-0{day}T00:00:00.000000Z" for day in range(1, 6)]

DEVICES: list[dict[str, Any]] = [
    {
        "device_id": "m-1",
        "family": "meter",
        "device_name": "Main meter",
        "device_type": "power_meter_dc",
        "group_path": "/rail/train-1",
        "metadata": '{"send_interval_s": 10}',
        "created_at": DAYS[0],
    },
    {
        "device_id": "m-2",
        "family": "meter",
        "device_name": "Spare",
        "group_path": "/rail",
        "connection_status": "online",
        "created_at": DAYS[1],
    },
    {
        "device_id": "t-1",
        "family": "sensors",
        "device_name": "50%_of Main",
        "device_type": "temperature_sensor",
        "group_path": "/railway",
        "status": "maintenance",
        "created_at": DAYS[1],
    },
    {
        "device_id": "new",
        "family": "generic",
        "device_name": "new",
        "registered": False,
        "status": "discovered",
        "created_at": DAYS[4],
    },
]
SERIES: list[dict[str, Any]] = [
    {"series_id": 1, "device_id": "m-1", "metric": "voltage_dc", "channel": "", "unit": "V"},
    {"series_id": 2, "device_id": "m-1", "metric": "voltage_dc", "channel": "b", "unit": "V"},
    {"series_id": 3, "device_id": "t-1", "metric": "temperature_celsius", "channel": ""},
    {"series_id": 4, "device_id": "gone", "metric": "voltage_dc", "channel": "", "unit": "V"},
]
ATTRIBUTES = [
    {"attr_id": 1, "body": '{"unit":"V"}'},
    {"attr_id": 2, "body": '{"pin":3,"unit":null}'},
]
# (type, offset of the time); the second came in late.
EVENTS = [("hello", 10), ("status", 5), ("hello", 30), ("hello", 30), ("status", 40)]
COUNTERS = [
    {"outcome": "stored", "family": "meter", "detail": "telemetry", "count": 7},
    {"outcome": "dead_letter", "family": "f2", "detail": "bad_json", "count": 2},
]

Insert = Callable[[str, dict[str, Any]], None]


def fill(insert: Insert) -> None:
    """Write the rows that the suite asks for."""
    for row in DEVICES:
        insert("devices", row)
    for row in SERIES:
        insert("series", {**row, "created_at": DAYS[0]})
    for row in ATTRIBUTES:
        insert("attributes", row)
    for number, (kind, offset) in enumerate(EVENTS, 1):
        insert("events", _event("m-1", kind, NOW_NS + offset, number))
    insert("events", _event("t-1", "hello", NOW_NS, 6))
    for row in COUNTERS:
        insert("counters", row)


def _event(device_id: str, kind: str, time_ns: int, position: int) -> dict[str, Any]:
    return {
        "position": position,
        "device_id": device_id,
        "family": "meter",
        "type": kind,
        "time_ns": time_ns,
        "received_at_ns": NOW_NS,
        "data": f'{{"n": {position}}}',
    }


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["new", "t-1", "m-2", "m-1"]),
    ({"status": "maintenance"}, ["t-1"]),
    ({"device_type": "power_meter_dc"}, ["m-1"]),
    ({"family": "meter"}, ["m-2", "m-1"]),
    ({"connection_status": "online"}, ["m-2"]),
    ({"registered": False}, ["new"]),
    ({"registered": True}, ["t-1", "m-2", "m-1"]),
    ({"group_path": "/rail"}, ["m-2", "m-1"]),
    ({"group_path": "/rail/train-1"}, ["m-1"]),
    ({"group_path": "/"}, ["new", "t-1", "m-2", "m-1"]),
    ({"text": "MAIN"}, ["t-1", "m-1"]),
    ({"text": "%_"}, ["t-1"]),
    ({"text": "-"}, ["t-1", "m-2", "m-1"]),
    ({"family": "meter", "text": "spare"}, ["m-2"]),
    ({"family": "f2"}, []),
    ({"limit": 2}, ["new", "t-1"]),
]


class RegistryContract:
    """Subclasses give the fixture `registry`, filled by `fill`."""

    @pytest.mark.parametrize(("filters", "ids"), FILTERS)
    def test_devices_by_filter(
        self, registry: Registry, filters: dict[str, Any], ids: list[str]
    ) -> None:
        found = registry.devices(DeviceQuery(**filters))
        assert [row["device_id"] for row in found] == ids

    def test_device_pages_meet_without_gap_or_repetition(self, registry: Registry) -> None:
        seen: list[str] = []
        after: tuple[str, int] | None = None
        while page := registry.devices(DeviceQuery(limit=1, after=after)):
            seen.append(page[0]["device_id"])
            after = (page[0]["created_at"], page[0]["id"])
        assert seen == ["new", "t-1", "m-2", "m-1"]

    def test_a_device_has_the_columns_of_the_registry(self, registry: Registry) -> None:
        row = registry.device("m-1")
        assert len(row) == 31
        assert row["metadata"] == {"send_interval_s": 10}
        assert row["registered"] is True
        assert row["created_at"] == DAYS[0]
        assert row["last_seen"] is None
        assert registry.device("new")["registered"] is False

    def test_an_unknown_device_is_not_found(self, registry: Registry) -> None:
        with pytest.raises(NotFoundError):
            registry.device("M-1")

    def test_series_by_device_metric_and_channel(self, registry: Registry) -> None:
        def ids(*filters: list[str] | None) -> list[int]:
            return [row.series_id for row in registry.series(*filters)]

        assert ids() == [1, 2, 3, 4]
        assert ids(["t-1", "m-1", "m-1"]) == [1, 2, 3]
        assert ids(None, ["voltage_dc"]) == [1, 2, 4]
        assert ids(["m-1"], None, [""]) == [1]
        assert ids(None, None, ["b"]) == [2]
        assert ids([]) == []
        assert ids(["m-1"], []) == []

    def test_a_series_has_key_and_unit(self, registry: Registry) -> None:
        assert registry.series(["t-1"]) == [
            SeriesRow(3, SeriesKey("t-1", "temperature_celsius", ""), None)
        ]

    def test_attributes_by_id(self, registry: Registry) -> None:
        assert registry.attributes([2, 1, 99]) == {
            1: {"unit": "V"},
            2: {"pin": 3, "unit": None},
        }
        assert registry.attributes([]) == {}

    def test_events_are_newest_first(self, registry: Registry) -> None:
        found = registry.events(EventQuery("m-1"))
        assert [event.position for event in found] == [5, 4, 3, 1, 2]
        assert found[0] == EventView(5, 5, "m-1", "status", NOW_NS + 40, {"n": 5})

    def test_events_by_type_and_time(self, registry: Registry) -> None:
        by_type = registry.events(EventQuery("m-1", type="hello", limit=2))
        assert [event.position for event in by_type] == [4, 3]
        query = EventQuery("m-1", start_ns=NOW_NS + 10, stop_ns=NOW_NS + 40)
        assert [event.position for event in registry.events(query)] == [4, 3, 1]

    def test_event_pages_meet_without_gap_or_repetition(self, registry: Registry) -> None:
        seen: list[int] = []
        after: int | None = None
        while page := registry.events(EventQuery("m-1", limit=2, after_id=after)):
            seen += [event.position for event in page]
            after = page[-1].id
        assert seen == [5, 4, 3, 1, 2]

    def test_counters(self, registry: Registry) -> None:
        assert registry.counters() == {
            ("stored", "meter", "telemetry"): 7,
            ("dead_letter", "f2", "bad_json"): 2,
        }
