"""Registry writes: dense versions, an audit trail, all or nothing (REG-100, REG-101)."""

from typing import Any

import apsw
import pytest

from millrace.errors import StopError
from millrace.store.bulk import bulk_devices
from millrace.store.registry_write import Actor, NothingChanged, registry_write
from millrace.store.tables import SqliteTables

AT_NS = 1_751_457_600_000_000_000
AT = "2025-07-02T12:00:00.000000Z"


def _version(db: apsw.Connection) -> object:
    return db.execute("SELECT version, changed_at FROM registry_version").fetchall()[0]


def test_a_write_takes_the_next_version_and_is_audited(db: apsw.Connection) -> None:
    with registry_write(SqliteTables(db), at_ns=AT_NS, actor=Actor("user", "ada")) as write:
        assert write.version == 2
        db.execute("UPDATE alert_rules SET enabled = 0 WHERE rule_id = 1")
        write.audit("update", "alert_rule", "1", before={"enabled": True}, after={"enabled": False})
    assert _version(db) == (2, AT)
    rows = db.execute(
        "SELECT at, actor_kind, actor, action, result, object_type, object_id, before, after,"
        " registry_version FROM audit_log"
    )
    assert rows.fetchall() == [
        (AT, "user", "ada", "update", "ok", "alert_rule", "1", '{"enabled":true}',
         '{"enabled":false}', 2)
    ]  # fmt: skip


def test_a_failed_write_takes_no_version(db: apsw.Connection) -> None:
    before = _version(db)
    with pytest.raises(StopError, match="ck_audit_log_actor_kind"):
        _write_as(db, Actor("nobody", "x"))
    assert _version(db) == before
    assert db.execute("SELECT count(*) FROM audit_log").fetchall() == [(0,)]


def _write_as(db: apsw.Connection, actor: Actor) -> None:
    with registry_write(SqliteTables(db), at_ns=AT_NS, actor=actor) as write:
        write.audit("update", "device", "x")


def test_a_write_that_changes_nothing_takes_no_version(db: apsw.Connection) -> None:
    before = _version(db)
    with registry_write(SqliteTables(db), at_ns=AT_NS):
        raise NothingChanged
    assert _version(db) == before


def test_bulk_devices_are_one_write(db: apsw.Connection) -> None:
    rows: list[dict[str, Any]] = [
        {"device_id": "m-1", "family": "meter", "metadata": {"send_interval_s": 10}},
        {"device_id": "m-2", "family": "meter", "device_name": "Second", "location": "Depot"},
        {"device_id": "m-1", "family": "sensors"},
    ]
    assert bulk_devices(SqliteTables(db), rows, at_ns=AT_NS) == 2
    stored = db.execute(
        "SELECT device_id, device_name, family, location, metadata, created_at FROM devices"
    )
    assert stored.fetchall() == [
        ("m-1", "m-1", "meter", None, '{"send_interval_s":10}', AT),
        ("m-2", "Second", "meter", "Depot", "{}", AT),
    ]
    assert _version(db) == (2, AT)


def test_bulk_devices_keep_the_rules_of_the_table(db: apsw.Connection) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        bulk_devices(SqliteTables(db), [{"device_id": "m-1", "nonsense": 1}], at_ns=AT_NS)
    with pytest.raises(StopError, match="ck_devices_device_id"):
        bulk_devices(SqliteTables(db), [{"device_id": "ok"}, {"device_id": "not ok"}], at_ns=AT_NS)
    assert db.execute("SELECT count(*) FROM devices").fetchall() == [(0,)]


def test_deleting_a_device_takes_its_own_rows_along(db: apsw.Connection) -> None:
    bulk_devices(SqliteTables(db), [{"device_id": "m-1", "family": "meter"}], at_ns=AT_NS)
    db.execute("INSERT INTO device_configs (device_id, config_key) VALUES ('m-1', 'k')")
    db.execute(
        "INSERT INTO alert_rules (device_id, metric_name, threshold_max) VALUES ('m-1','x',1)"
    )
    db.execute("INSERT INTO device_alerts (device_id, rule_id) VALUES ('m-1', 4)")
    db.execute("INSERT INTO alert_state (rule_id, device_id, open_alert_id) VALUES (4, 'm-1', 1)")
    db.execute("INSERT INTO device_alerts (device_id, rule_id) VALUES ('m-1', 1)")
    db.execute("DELETE FROM alert_rules WHERE rule_id = 1")
    kept = db.execute("SELECT rule_id FROM device_alerts ORDER BY id").fetchall()
    assert kept == [(4,), (None,)]
    db.execute("DELETE FROM devices WHERE device_id = 'm-1'")
    for table in ("device_configs", "device_alerts", "alert_state"):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]  # noqa: S608


def test_a_wired_device_cannot_be_deleted(db: apsw.Connection) -> None:
    db.execute(
        "INSERT INTO devices (id, device_id, family, role, device_name) VALUES"
        " (1, 'gate', 'f2', 'controller', 'g'), (2, 'dev-2', 'f2', 'attached', 'a')"
    )
    db.execute("INSERT INTO connectors (controller_id, connector_number) VALUES ('gate', 1)")
    db.execute("INSERT INTO pins (connector_id, position, device_id) VALUES (1, 1, 'dev-2')")
    for device_id in ("gate", "dev-2"):
        with pytest.raises(apsw.ConstraintError, match="FOREIGN KEY"):
            db.execute("DELETE FROM devices WHERE device_id = ?", (device_id,))
