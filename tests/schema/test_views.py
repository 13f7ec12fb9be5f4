"""Documented names work as documented (REG-080, REG-081)."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from millrace.schema.views import VIEWS
from millrace.store.seeding import seed
from millrace.store.sqlite import migrate, open_store
from millrace.store.tables import SqliteTables

COLUMNS = {
    "DeviceType": "DeviceTypeId Name",
    "DeviceTemplate": "DeviceTemplateId Name Model Description Image DeviceTypeId",
    "Device": (
        "DeviceId DeviceName DeviceTemplateId ClaimingCode SerialNumber Uuid MacAddress IpAddress"
        " PcbVersion"
    ),
    "Connector": "ConnectorId ControllerId ConnectorNumber ConnectorTypeId",
    "Pin": "PinId ConnectorId Position DeviceId",
    "DataPointIcon": "DataPointIconId IconName",
    "DataPoint": (
        "DataPointId DeviceTemplateId Label DataPointIconId DataFormat DataEncoding Offset Length"
        " Prepend Append WholeNumber Decimals RealTimeChart HistoricalChart"
    ),
    "device_config_view": (
        "device_id connector_mode component_type component_id encoding_type units scaling_factor"
    ),
    "sensor_devices": ("device_id device_type location installation_date last_maintenance status"),
    "sensor_device_configs": "config_id device_id config_key config_value updated_at",
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("views") / "millrace.db"
    migrate(path)
    db = open_store(path)
    seed(SqliteTables(db), "demo", at_ns=1_751_457_600_000_000_000)
    db.close()
    return path


@pytest.fixture
def db(demo: Path) -> Iterator[apsw.Connection]:
    connection = open_store(demo)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.execute("ROLLBACK")
    connection.close()


def test_there_are_no_other_views() -> None:
    assert {name.strip('"') for name in VIEWS} == COLUMNS.keys()


@pytest.mark.parametrize("view", COLUMNS)
def test_view_has_the_documented_columns(db: apsw.Connection, view: str) -> None:
    rows = db.execute(f'PRAGMA table_info("{view}")')
    assert [str(row[1]) for row in rows] == COLUMNS[view].split()
    assert db.execute(f'SELECT count(*) FROM "{view}"').fetchall()  # noqa: S608


@pytest.mark.parametrize("view", COLUMNS)
def test_views_are_read_only(db: apsw.Connection, view: str) -> None:
    with pytest.raises(apsw.SQLError, match="cannot modify"):
        db.execute(f'DELETE FROM "{view}"')  # noqa: S608


def test_devices_are_shown_by_number(db: apsw.Connection) -> None:
    assert db.execute(
        'SELECT "ControllerId" FROM "Connector" WHERE "ConnectorId" = 6'
    ).fetchall() == [(2,)]
    wired = db.execute('SELECT "Position", "DeviceId" FROM "Pin" ORDER BY "PinId"').fetchall()
    assert wired == [(1, 4), (2, 5), (3, 6), (1, 7), (2, 8)]
    first = db.execute('SELECT * FROM "Device" WHERE "DeviceId" = 1').fetchall()
    assert first == [(1, "F2 Controller 1", 1, "claim-abc", None, None, "e4fd45f654be", None, None)]
    assert db.execute('SELECT count(*) FROM "Device"').fetchall() == [(8,)]


def test_data_points_keep_their_number_over_versions(db: apsw.Connection) -> None:
    db.execute("UPDATE template_versions SET status = 'retired' WHERE id = 2")
    db.execute(
        "INSERT INTO template_versions (id, device_template_id, version, status)"
        " VALUES (90, 2, 2, 'active')"
    )
    db.execute(
        "INSERT INTO data_points (template_version_id, origin_id, label, data_encoding,"
        " byte_offset, byte_length, bit) VALUES (90, 1, 'Fault', 'Bit', 3, 1, 7)"
    )
    query = 'SELECT "DataPointId", "DataEncoding", "DataPointIconId" FROM "DataPoint"'
    rows = db.execute(f'{query} WHERE "DeviceTemplateId" = 2').fetchall()
    assert rows == [(1, "Bit(7)", 0)]


def test_config_view_is_in_order(db: apsw.Connection) -> None:
    rows = db.execute("SELECT device_id, connector_mode, component_type FROM device_config_view")
    listed = rows.fetchall()
    assert len(listed) == 10
    assert listed == sorted(listed)


STATEMENTS = [
    (
        "INSERT INTO devices (device_id, device_name, device_type, location, status, metadata)"
        " VALUES ('m-1', 'Meter 1', 'power_meter_dc', 'Depot', 'active', '{}')"
    ),
    (
        "INSERT INTO device_parameters (device_id, connector_mode, component_type, component_id,"
        " encoding_type, units, scaling_factor) VALUES ('f2-e4fd45f654be', 'sensor-mode', 'sensor',"
        " '4', 'hex_to_float', 'celsius', 0.1)"
    ),
    (
        "INSERT INTO device_configs (device_id, config_key, config_value)"
        " VALUES ('dc-meter-001', 'send_interval_s', '10')"
    ),
    (
        "INSERT INTO device_alerts (device_id, alert_type, severity, message)"
        " VALUES ('dc-meter-001', 'voltage', 'critical', 'high')"
    ),
    (
        "INSERT INTO device_commands (cmd_id, device_id, cmd, params)"
        " VALUES ('7d2f4c1e-5b1a-4c7e-9a55-0f6c2f3b8d10', 'dc-meter-001', 'reboot', '{}')"
    ),
    (
        "INSERT INTO device_seq_tracking (device_id, last_seq, gap_count)"
        " VALUES ('dc-meter-001', 41, 0)"
    ),
    (
        "INSERT INTO ota_updates (device_id, cmd_id, state, progress_pct, fw_version_target)"
        " VALUES ('dc-meter-001', 'c1', 'downloading', 10, '2.2.0')"
    ),
    (
        "INSERT INTO alert_rules (device_type, metric_name, threshold_min, threshold_max, severity)"
        " VALUES ('temperature_sensor', 'temperature_celsius', 10.0, 30.0, 'warning')"
    ),
    (
        "SELECT id, device_id, device_name, device_type, location, status, connection_status,"
        " last_seen, fw_version, created_at, updated_at, metadata FROM devices"
    ),
    (
        "SELECT id, device_id, alert_type, severity, message, acknowledged, created_at"
        " FROM device_alerts WHERE NOT acknowledged"
    ),
    (
        "SELECT id, cmd_id, device_id, cmd, params, status, ack_detail, created_at, acked_at"
        " FROM device_commands"
    ),
    "SELECT * FROM device_parameters",
    (
        "SELECT rule_id, device_type, metric_name, threshold_min, threshold_max, severity"
        " FROM alert_rules"
    ),
]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda text: text[:32])
def test_documented_statements_run(db: apsw.Connection, statement: str) -> None:
    db.execute(statement).fetchall()


def test_hand_written_rows_get_the_time_of_the_database(db: apsw.Connection) -> None:
    db.execute("INSERT INTO devices (device_id, device_name) VALUES ('m-1', 'Meter 1')")
    (at,) = db.execute("SELECT created_at FROM devices WHERE device_id = 'm-1'").fetchall()[0]
    assert str(at).startswith("20")
    assert len(str(at)) == 27
    assert str(at).endswith("Z")
