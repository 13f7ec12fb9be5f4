"""Seeded rows have the documented numbers and decode the documented frames (REG-130 to REG-136)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from millrace.schema.seeds import ALERT_RULES, DEVICE_TYPES
from millrace.store.seeding import seed
from millrace.store.sqlite import migrate, open_store
from millrace.store.tables import SqliteTables

AT_NS = 1_751_457_600_000_000_000


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    migrate(tmp_path / "millrace.db")
    connection = open_store(tmp_path / "millrace.db")
    yield connection
    connection.close()


@pytest.fixture
def demo(db: apsw.Connection) -> apsw.Connection:
    seed(SqliteTables(db), "demo", at_ns=AT_NS)
    return db


def _version(db: apsw.Connection) -> Any:
    return db.execute("SELECT version FROM registry_version").fetchall()[0][0]


def test_base_rows_come_with_the_migration(db: apsw.Connection) -> None:
    types = db.execute(
        "SELECT code, family, is_sensor, is_controller FROM device_types ORDER BY id"
    )
    assert types.fetchall() == [
        ("controller", "f2", 0, 1),
        ("sensor", "f2", 1, 0),
        ("power_monitor", "f2", 1, 0),
        ("power_meter_dc", "meter", 1, 0),
        ("power_meter_ac", "meter", 1, 0),
        ("temperature_sensor", "sensors", 1, 0),
        ("humidity_sensor", "sensors", 1, 0),
        ("motion_sensor", "sensors", 1, 0),
        ("gps_sensor", "sensors", 1, 0),
        ("generic", "generic", 0, 0),
    ]
    icons = db.execute("SELECT id, icon_name FROM data_point_icons ORDER BY id").fetchall()
    names = ["Temperature", "Humidity", "Pressure", "Voltage", "Current", "CO2"]
    assert icons == list(enumerate(names, 1))
    rules = db.execute(
        "SELECT rule_id, name, device_type, metric_name, threshold_min, threshold_max, severity,"
        " alert_type, hysteresis FROM alert_rules ORDER BY rule_id"
    ).fetchall()
    temperature, humidity, health = (
        "temperature_anomaly", "humidity_anomaly", "low_device_health",
    )  # fmt: skip
    assert rules == [
        (1, temperature, "temperature_sensor", "temperature_celsius", 10, 30, "warning",
         temperature, 1.0),
        (2, humidity, "humidity_sensor", "humidity_percent", 20, 80, "warning", humidity, 3.0),
        (3, health, None, "health_score", 0.3, None, "warning", health, 0.05),
    ]  # fmt: skip
    assert seed(SqliteTables(db), "base", at_ns=AT_NS) == 0
    assert _version(db) == 1
    assert db.execute("SELECT count(*) FROM users").fetchall() == [(0,)]


def test_absent_base_rows_are_put_back(db: apsw.Connection) -> None:
    db.execute("DELETE FROM alert_rules")
    db.execute("DELETE FROM device_types WHERE code = 'generic'")
    assert seed(SqliteTables(db), "base", at_ns=AT_NS) == len(ALERT_RULES) + 1
    assert db.execute("SELECT count(*) FROM device_types").fetchall() == [(len(DEVICE_TYPES),)]
    assert _version(db) == 2


def test_demo_is_one_registry_write_and_never_overwrites(db: apsw.Connection) -> None:
    assert seed(SqliteTables(db), "demo", at_ns=AT_NS) == 63
    assert _version(db) == 2
    audit = db.execute("SELECT action, object_type, object_id, registry_version FROM audit_log")
    assert audit.fetchall() == [("seed", "registry", "demo", 2)]
    db.execute("UPDATE devices SET device_name = 'Mine' WHERE id = 1")
    assert seed(SqliteTables(db), "demo", at_ns=AT_NS + 1) == 0
    assert _version(db) == 2
    assert db.execute("SELECT device_name FROM devices WHERE id = 1").fetchall() == [("Mine",)]


def test_unknown_kind_is_refused(db: apsw.Connection) -> None:
    with pytest.raises(ValueError, match="other"):
        seed(SqliteTables(db), "other", at_ns=AT_NS)


def test_devices_have_the_documented_numbers(demo: apsw.Connection) -> None:
    rows = demo.execute(
        "SELECT id, device_id, role, device_template_id, device_name, claiming_code, mac_address,"
        " device_type FROM devices WHERE family = 'f2' ORDER BY id"
    ).fetchall()
    assert rows == [
        (1, "f2-e4fd45f654be", "controller", 1, "F2 Controller 1", "claim-abc", "e4fd45f654be",
         "controller"),
        (2, "f2-abc123def456", "controller", 1, "F2 Controller 2", "claim-def", "abc123def456",
         "controller"),
        (3, "f2-123456abcdef", "controller", 1, "F2 Controller 3", "claim-ghi", "123456abcdef",
         "controller"),
        (4, "dev-4", "attached", 2, "Living Room Env Sensor", "claim-env1", None, "sensor"),
        (5, "dev-5", "attached", 3, "Kitchen Power Monitor", "claim-pm1", None, "power_monitor"),
        (6, "dev-6", "attached", 2, "Bedroom Env Sensor", "claim-env2", None, "sensor"),
        (7, "dev-7", "attached", 4, "Legacy Env Sensor", "claim-env3", None, "sensor"),
        (8, "dev-8", "attached", 5, "Legacy Power Monitor", "claim-pm2", None, "power_monitor"),
    ]  # fmt: skip
    groups = demo.execute("SELECT DISTINCT group_path FROM devices WHERE family = 'f2'").fetchall()
    assert groups == [("/demo/f2",)]
    wired = demo.execute(
        "SELECT c.controller_id, c.connector_number, p.position, p.device_id FROM pins p"
        " JOIN connectors c ON c.id = p.connector_id ORDER BY p.id"
    ).fetchall()
    assert wired == [
        ("f2-e4fd45f654be", 1, 1, "dev-4"),
        ("f2-abc123def456", 2, 2, "dev-5"),
        ("f2-123456abcdef", 4, 3, "dev-6"),
        ("f2-123456abcdef", 1, 1, "dev-7"),
        ("f2-123456abcdef", 1, 2, "dev-8"),
    ]
    connectors = demo.execute("SELECT DISTINCT connector_number, connector_type_id FROM connectors")
    assert sorted(connectors.fetchall()) == [(1, 3), (2, 3), (3, 3), (4, 3)]


def test_standalone_devices(demo: apsw.Connection) -> None:
    rows = demo.execute(
        "SELECT device_id, family, device_name, device_type, location, group_path, latitude,"
        " longitude, time_zone, installation_date, last_maintenance FROM devices"
        " WHERE role = 'standalone' ORDER BY id"
    ).fetchall()
    day = "2025-01-15T00:00:00.000000Z"
    rail, site = "/demo/rail/train-", "/demo/site"
    berlin = (52.52, 13.405, "Europe/Berlin")
    nowhere = (None, None, None)
    assert rows == [
        ("dc-meter-001", "meter", "DC Meter 001", "power_meter_dc", "Train 4521, Car 1",
         f"{rail}4521", *nowhere, None, None),
        ("dc-meter-002", "meter", "DC Meter 002", "power_meter_dc", "Train 4521, Car 3",
         f"{rail}4521", *nowhere, None, None),
        ("ac-meter-001", "meter", "AC Meter 001", "power_meter_ac", "Train 8010", f"{rail}8010",
         *nowhere, None, None),
        ("temp-office-1", "sensors", "Office Temperature", "temperature_sensor", "Office", site,
         *berlin, day, None),
        ("temp-server-1", "sensors", "Server Room Temperature", "temperature_sensor",
         "Server Room", site, *berlin, day, None),
        ("7d2f4c1e-5b1a-4c7e-9a55-0f6c2f3b8d10", "sensors", "Warehouse Humidity",
         "humidity_sensor", "Warehouse", site, 53.5511, 9.9937, None, day,
         "2025-03-01T00:00:00.000000Z"),
        ("motion-lobby-1", "sensors", "Lobby Motion", "motion_sensor", "Lobby", site, *nowhere,
         day, None),
        ("gps-van-1", "sensors", "Van 1", "gps_sensor", "Van 1", site, *nowhere, day, None),
    ]  # fmt: skip
    states = demo.execute("SELECT DISTINCT status, registered, connection_status FROM devices")
    assert states.fetchall() == [("active", 1, "unknown")]
    stored = demo.execute("SELECT metadata FROM devices WHERE device_id = 'ac-meter-001'")
    metadata = json.loads(str(stored.fetchall()[0][0]))
    assert metadata == {
        "voltage_system": "AC25kV50Hz",
        "voltage_range": "17500-29000 V",
        "current_range": "0-2000 A",
        "accuracy_class": "0.5R",
        "sampling_cadence_ms": 1000,
        "send_interval_s": 10,
        "hello_interval_s": 30,
        "brokers": [{"host": "localhost", "port": 1883}],
    }


def test_parameters(demo: apsw.Connection) -> None:
    rows = demo.execute(
        "SELECT device_id, connector_mode, component_type, component_id, encoding_type, units,"
        " scaling_factor FROM device_parameters ORDER BY id"
    ).fetchall()
    first, second = "f2-e4fd45f654be", "f2-abc123def456"
    access, sensor, alarm = "access-control-mode", "sensor-mode", "alarm-mode"
    assert rows == [
        (first, access, "door-sensors", None, "boolean_map", "state", 1.0),
        (first, access, "strike", "1", "boolean", "state", 1.0),
        (first, access, "reader", "1", "raw_string", "text", 1.0),
        (first, access, "exit-buttons", None, "boolean_map", "state", 1.0),
        (first, sensor, "sensor", "3", "hex_to_float", "celsius", 0.1),
        (first, alarm, "motion-sensor", "1", "boolean", "presence", 1.0),
        (first, alarm, "siren", "1", "boolean", "state", 1.0),
        (second, sensor, "sensor", "1", "hex_to_float", "humidity", 0.01),
        (second, sensor, "sensor", "2", "hex_to_float", "pressure", 0.1),
        (second, access, "door-sensors", None, "boolean_map", "state", 1.0),
    ]


FIRST_FRAME = "01 03 0C 32 30 32 30 36 32 38 30 31 30 31 5B 18 28 01"
FRAMES = [
    (2, FIRST_FRAME, {"Temperature": 128.48, "Humidity": 128.48, "CO2": 13874}),
    (4, FIRST_FRAME, {"Temperature": 2.59, "Humidity": 31.22, "CO2": 12338}),
    (3, FIRST_FRAME, {"Voltage": 1284.8, "Current": 12.848}),
    (5, FIRST_FRAME, {"Voltage": 25.9, "Current": 3.122}),
    (
        2,
        "01 03 06 09 2E 11 94 01 C2 0D 3B",
        {"Temperature": 23.5, "Humidity": 45, "CO2": 450},
    ),
    (3, "01 03 04 09 00 04 D2 7B 32", {"Voltage": 230.4, "Current": 1.234}),
]


@pytest.mark.parametrize(("template", "frame", "values"), FRAMES)
def test_frames_of_the_demo(
    demo: apsw.Connection, template: int, frame: str, values: dict[str, float]
) -> None:
    data = bytes.fromhex(frame)
    found = {}
    for label, encoding, offset, length, decimals in demo.execute(
        "SELECT p.label, p.data_encoding, p.byte_offset, p.byte_length, p.decimals"
        " FROM data_points p JOIN template_versions v ON v.id = p.template_version_id"
        " WHERE v.device_template_id = ? AND v.status = 'active' ORDER BY p.id",
        (template,),
    ):
        cut = data[int(str(offset)) : int(str(offset)) + int(str(length))]
        count = int.from_bytes(cut, signed=str(encoding).startswith("Int"))
        found[label] = count / 10 ** int(str(decimals))
    assert found == pytest.approx(values)
    assert list(found) == list(values)


def test_data_points_are_numbered_by_template(demo: apsw.Connection) -> None:
    rows = demo.execute(
        "SELECT p.id, v.device_template_id, p.label, p.append, i.icon_name, p.data_format,"
        " p.byte_order, p.real_time_chart, p.historical_chart FROM data_points p"
        " JOIN template_versions v ON v.id = p.template_version_id"
        " JOIN data_point_icons i ON i.id = p.data_point_icon_id ORDER BY p.id"
    ).fetchall()
    environment = [("Temperature", " °C"), ("Humidity", " %"), ("CO2", " ppm")]
    power = [("Voltage", " V"), ("Current", " A")]
    owners = [(2, environment), (3, power), (4, environment), (5, power)]
    wanted = [(template, *point) for template, points in owners for point in points]
    usual = ("numeric", "big", "gauge", "line")
    assert rows == [
        (number, template, label, append, label, *usual)
        for number, (template, label, append) in enumerate(wanted, 1)
    ]
    templates = demo.execute("SELECT id, name, model FROM device_templates ORDER BY id").fetchall()
    assert templates == [
        (1, "F2 Controller", "F2-rev1"),
        (2, "Environmental Sensor", "ENV-S1"),
        (3, "Power Monitor", "PM-100"),
        (4, "Environmental Sensor (legacy)", "ENV-S1-L"),
        (5, "Power Monitor (legacy)", "PM-100-L"),
    ]


def test_a_used_registry_gets_other_numbers(db: apsw.Connection) -> None:
    db.execute("INSERT INTO devices (device_id, device_name) VALUES ('seen', 'seen')")
    db.execute("INSERT INTO devices (device_id, device_name) VALUES ('gone', 'gone')")
    db.execute("DELETE FROM devices WHERE device_id = 'gone'")
    seed(SqliteTables(db), "demo", at_ns=AT_NS)
    rows = db.execute("SELECT id, device_id FROM devices WHERE role = 'attached' ORDER BY id")
    assert rows.fetchall() == [(number, f"dev-{number}") for number in range(6, 11)]
    wired = db.execute("SELECT device_id FROM pins ORDER BY id").fetchall()
    assert wired == [("dev-6",), ("dev-7",), ("dev-8",), ("dev-9",), ("dev-10",)]
