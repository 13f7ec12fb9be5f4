"""Every CHECK takes and refuses what it should; the last test proves that none was left out."""

from typing import Any

import apsw
import pytest
import sqlalchemy as sa

from millrace.schema.registry import metadata
from tests.schema.notation import Column, documented_tables, limits, sample

TABLES = documented_tables()
H64 = "a" * 64
DAY = "2025-01-01T00:00:00.000000Z"

# What a row needs beside a sample of each required column.
VALID: dict[str, dict[str, Any]] = {
    "data_points": {"data_encoding": "Int16", "byte_length": 2},
    "device_credentials": {"kind": "password", "secret_hash": H64},
    "alert_rules": {"threshold_max": 5.0},
    "users": {"username": "operator"},
    "registry_version": {"id": 1},
}

# Name of the check: rows that it takes, rows that it refuses.
CASES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "ck_device_types_one_kind": (
        [{"is_sensor": 1}, {"is_controller": 1}],
        [{"is_sensor": 1, "is_controller": 1}],
    ),
    "ck_device_templates_image_typed": (
        [{"image": b"x", "image_type": "image/png"}, {}],
        [{"image": b"x"}, {"image_type": "image/png"}],
    ),
    "ck_template_versions_version_from_one": ([{"version": 1}], [{"version": 0}]),
    "ck_data_points_byte_offset_range": (
        [{"byte_offset": 0}, {"byte_offset": 1023}],
        [{"byte_offset": -1}, {"byte_offset": 1024}],
    ),
    "ck_data_points_decimals_range": ([{"decimals": 18}], [{"decimals": 19}, {"decimals": -1}]),
    "ck_data_points_whole_number_range": (
        [{"whole_number": 20}],
        [{"whole_number": 21}, {"whole_number": -1}],
    ),
    "ck_data_points_byte_length_natural": (
        [
            {"data_encoding": name, "byte_length": length}
            for name, length in (
                ("Int8", 1), ("Uint8", 1), ("Uint16", 2), ("Int24", 3), ("Uint24", 3), ("Int32", 4),
                ("Uint32", 4), ("Float32", 4), ("Int64", 8), ("Uint64", 8), ("Float64", 8),
                ("BCD", 1), ("BCD", 8), ("ASCII", 1), ("ASCII", 1024),
            )
        ],
        [
            {"data_encoding": name, "byte_length": length}
            for name, length in (
                ("Int8", 2), ("Uint8", 0), ("Int16", 1), ("Uint16", 3), ("Int24", 2), ("Uint24", 4),
                ("Int32", 2), ("Float32", 8), ("Int64", 4), ("Float64", 4), ("BCD", 0), ("BCD", 9),
                ("ASCII", 0), ("ASCII", 1025),
            )
        ],
    ),
    "ck_data_points_bit_named": (
        [{"data_encoding": "Bit", "bit": 0}],
        [{"data_encoding": "Bit"}, {"bit": 1}],
    ),
    "ck_data_points_bit_inside": (
        [{"data_encoding": "Bit", "byte_length": 2, "bit": 15}],
        [
            {"data_encoding": "Bit", "byte_length": 2, "bit": 16},
            {"data_encoding": "Bit", "byte_length": 2, "bit": -1},
        ],
    ),
    "ck_data_points_text_is_ascii": (
        [{"data_format": "text", "data_encoding": "ASCII"}],
        [{"data_format": "text"}],
    ),
    "ck_data_points_word_swapped_wide": (
        [
            {"byte_order": "word-swapped", "data_encoding": "Float32", "byte_length": 4},
            {"byte_order": "little"},
        ],
        [{"byte_order": "word-swapped"}],
    ),
    "ck_decoder_bindings_valid_span": (
        [
            {"valid_from": DAY, "valid_to": "2025-01-01T00:00:00.000001Z"},
            {"valid_to": DAY},
        ],
        [{"valid_from": DAY, "valid_to": DAY}],
    ),
    "ck_devices_group_path_rooted": ([{"group_path": "/a/b"}], [{"group_path": "a"}]),
    "ck_devices_discovered_unregistered": (
        [{"status": "discovered", "registered": 0}, {"status": "inactive", "registered": 0}],
        [{"status": "discovered"}],
    ),
    "ck_devices_latitude_range": (
        [{"latitude": -90, "longitude": 0}],
        [{"latitude": 90.1, "longitude": 0}],
    ),
    "ck_devices_longitude_range": (
        [{"latitude": 0, "longitude": 180}],
        [{"latitude": 0, "longitude": -180.1}],
    ),
    "ck_devices_position_whole": ([{}], [{"latitude": 1.0}, {"longitude": 1.0}]),
    "ck_devices_role_of_family": (
        [{"role": "controller", "family": "f2"}],
        [{"role": "controller", "family": "meter"}],
    ),
    "ck_devices_controller_named": (
        [
            {"role": "controller", "family": "f2", "device_id": "gate_7"},
            {
                "role": "controller",
                "family": "f2",
                "device_id": "f2-e4fd45f654be",
                "mac_address": "e4fd45f654be",
            },
        ],
        [{"role": "controller", "family": "f2", "mac_address": "e4fd45f654be"}],
    ),
    "ck_devices_attached_named": (
        [{"id": 77, "role": "attached", "family": "f2", "device_id": "dev-77"}],
        [{"id": 77, "role": "attached", "family": "f2", "device_id": "dev-78"}],
    ),
    "ck_connectors_connector_number_range": (
        [{"connector_number": 5}],
        [{"connector_number": 0}, {"connector_number": 6}],
    ),
    "ck_pins_position_range": ([{"position": 99}], [{"position": 100}, {"position": -1}]),
    "ck_device_parameters_scaling_factor_nonzero": (
        [{"scaling_factor": -0.1}],
        [{"scaling_factor": 0}],
    ),
    "ck_device_credentials_kind_password": (
        [{}],
        [{"secret_hash": None}, {"kind": "x509", "fingerprint": H64}],
    ),
    "ck_device_credentials_kind_x509": (
        [{"kind": "x509", "secret_hash": None, "fingerprint": H64}],
        [{"kind": "x509", "secret_hash": None}, {"fingerprint": H64}],
    ),
    "ck_device_credentials_kind_hmac": (
        [{"kind": "hmac", "secret_hash": None, "sealed_secret": b"x", "master_key_id": "1"}],
        [{"kind": "hmac", "secret_hash": None, "sealed_secret": b"x"}],
    ),
    "ck_device_commands_timeout_s_range": (
        [{"timeout_s": 86400}],
        [{"timeout_s": 0}, {"timeout_s": 86401}],
    ),
    "ck_alert_rules_threshold_given": (
        [{"threshold_max": None, "threshold_min": 1.0}, {"threshold_max": None, "kind": "rate"}],
        [{"threshold_max": None}],
    ),
    "ck_alert_rules_threshold_order": ([{"threshold_min": 5.0}], [{"threshold_min": 5.1}]),
    "ck_alert_rules_expression_given": (
        [{"kind": "expression", "expression": "a > 1"}],
        [{"kind": "expression"}],
    ),
    "ck_alert_rules_for_s_range": ([{"for_s": 86400}], [{"for_s": -1}, {"for_s": 86401}]),
    "ck_alert_rules_hysteresis_range": ([{"hysteresis": 0}], [{"hysteresis": -0.1}]),
    "ck_device_seq_tracking_last_seq_range": (
        [{"last_seq": -1}, {"last_seq": 2**32 - 1}],
        [{"last_seq": -2}, {"last_seq": 2**32}],
    ),
    "ck_firmware_size_bytes_range": (
        [{"size_bytes": 1 << 30}],
        [{"size_bytes": 0}, {"size_bytes": (1 << 30) + 1}],
    ),
    "ck_ota_campaigns_batch_size_range": (
        [{"batch_size": 1000}],
        [{"batch_size": 0}, {"batch_size": 1001}],
    ),
    "ck_ota_campaigns_max_failed_pct_range": (
        [{"max_failed_pct": 0}, {"max_failed_pct": 100}],
        [{"max_failed_pct": -1}, {"max_failed_pct": 101}],
    ),
    "ck_ota_updates_progress_pct_range": (
        [{"progress_pct": 100}],
        [{"progress_pct": -1}, {"progress_pct": 101}],
    ),
    "ck_registry_version_single_row": ([{"id": 1}], [{"id": 2}]),
    "ck_positions_next_offset_range": ([{"next_offset": 0}], [{"next_offset": -1}]),
    "ck_positions_partition_no_range": ([{"partition_no": 0}], [{"partition_no": -1}]),
    "ck_users_username_form": ([{"username": "abc"}], [{"username": "ab"}, {"username": "Abc"}]),
}  # fmt: skip

TYPED = [
    pytest.param(table.name, column, id=f"{table.name}.{column.name}")
    for table in TABLES.values()
    for column in table.columns
    if column.kind not in {"id", "int", "big", "real"}
]


@pytest.fixture
def loose(db: apsw.Connection) -> apsw.Connection:
    """The database without foreign keys and without the rows that came with the migration."""
    db.execute("ROLLBACK")
    db.pragma("foreign_keys", 0)
    db.execute("BEGIN IMMEDIATE")
    for name in ("registry_version", "device_types", "data_point_icons", "alert_rules"):
        db.execute(f"DELETE FROM {name}")  # noqa: S608 - names of the test
    return db


def _row(table: str, changes: dict[str, Any]) -> dict[str, Any]:
    columns = TABLES[table].columns
    row = {
        column.name: sample(column)
        for column in columns
        if (column.required or column.key) and column.default is None
    }
    return {**row, **VALID.get(table, {}), **changes}


def _insert(db: apsw.Connection, table: str, changes: dict[str, Any]) -> None:
    row = _row(table, changes)
    marks = ", ".join("?" * len(row))
    with db:
        db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608


@pytest.mark.parametrize("table", TABLES)
def test_a_row_of_required_columns_is_taken(loose: apsw.Connection, table: str) -> None:
    _insert(loose, table, {})


@pytest.mark.parametrize(("table", "column"), TYPED)
def test_type_of_column(loose: apsw.Connection, table: str, column: Column) -> None:
    taken, refused = limits(column)
    name = f"ck_{table}_{column.name}"
    for value in taken:
        assert name not in _violated(loose, table, {column.name: value}), value
    for value in refused:
        assert name in _violated(loose, table, {column.name: value}), value


@pytest.mark.parametrize("name", CASES)
def test_rule_of_table(loose: apsw.Connection, name: str) -> None:
    taken, refused = CASES[name]
    table = next(t for t in sorted(TABLES, key=len, reverse=True) if name.startswith(f"ck_{t}_"))
    for changes in taken:
        loose.execute("SAVEPOINT taken")
        _insert(loose, table, changes)
        loose.execute("ROLLBACK TO taken")
    for changes in refused:
        assert name in _violated(loose, table, changes), changes


def _violated(db: apsw.Connection, table: str, changes: dict[str, Any]) -> set[str]:
    """Return the checks that refuse a row; all of them, not only the first."""
    found: set[str] = set()
    row = _row(table, changes)
    columns = ", ".join(f"? AS {name}" for name in row)
    missing = [c for c in TABLES[table].columns if c.name not in row]
    columns += "".join(f", {_filled(c)} AS {c.name}" for c in missing)
    for check in metadata.tables[table].constraints:
        if isinstance(check, sa.CheckConstraint):
            query = f"SELECT NOT ({check.sqltext}) FROM (SELECT {columns})"  # noqa: S608
            if db.execute(query, tuple(row.values())).fetchall()[0][0]:
                found.add(str(check.name))
    _agrees(db, table, changes, found)
    return found


def _agrees(db: apsw.Connection, table: str, changes: dict[str, Any], found: set[str]) -> None:
    """The stored table refuses the row exactly when one of its checks does."""
    db.execute("SAVEPOINT tried")
    if found:
        with pytest.raises(apsw.ConstraintError, match="CHECK constraint failed") as caught:
            _insert(db, table, changes)
        assert str(caught.value).rpartition(" ")[2] in found
    else:
        _insert(db, table, changes)
    db.execute("ROLLBACK TO tried")


def _filled(column: Column) -> str:
    if column.kind == "id":
        return "1"
    text = column.default
    words = {None: "NULL", "true": "1", "false": "0", "now": "'2025-01-01T00:00:00.000000Z'"}
    return words.get(text, str(text))


def test_no_check_is_left_out() -> None:
    named = {
        str(check.name)
        for table in TABLES
        for check in metadata.tables[table].constraints
        if isinstance(check, sa.CheckConstraint)
    }
    typed = {f"ck_{table.values[0]}_{table.values[1].name}" for table in TYPED}  # type: ignore[union-attr]
    assert named == typed | CASES.keys()


UNIQUE = [
    ("device_templates", {"name": "a", "model": "b"}, {}),
    ("template_versions", {"device_template_id": 1, "version": 1}, {"status": "retired"}),
    ("data_points", {"id": 5, "origin_id": None}, {"id": 6, "origin_id": 5}),
    ("devices", {"device_id": "a", "mac_address": "e4fd45f654be"}, {"device_id": "b"}),
    ("devices", {"device_id": "a", "claiming_code": "x"}, {"device_id": "b"}),
    ("connectors", {"connector_number": 1}, {}),
    ("pins", {"position": 1}, {"device_id": "other"}),
    ("device_parameters", {"component_id": None}, {"component_id": ""}),
    ("device_alerts", {"dedupe_key": "rule:1"}, {"message": "again"}),
    ("ota_updates", {"cmd_id": "c"}, {"detail": "again"}),
    ("dead_letters", {"log_offset": 7}, {"detail": "again"}),
]


@pytest.mark.parametrize(("table", "first", "changes"), UNIQUE)
def test_unique_keys_refuse_the_second_row(
    loose: apsw.Connection, table: str, first: dict[str, Any], changes: dict[str, Any]
) -> None:
    _insert(loose, table, first)
    with pytest.raises(apsw.ConstraintError, match="UNIQUE"):
        _insert(loose, table, {**first, **changes})


NOT_UNIQUE = [
    ("template_versions", {"version": 1, "status": "active"}, {"version": 2, "status": "retired"}),
    ("devices", {"device_id": "a"}, {"device_id": "b"}),
    ("device_alerts", {"dedupe_key": "x", "status": "resolved"}, {"status": "open"}),
    ("device_alerts", {}, {}),
    ("ota_updates", {}, {}),
]


@pytest.mark.parametrize(("table", "first", "changes"), NOT_UNIQUE)
def test_partial_keys_let_the_others_pass(
    loose: apsw.Connection, table: str, first: dict[str, Any], changes: dict[str, Any]
) -> None:
    _insert(loose, table, first)
    _insert(loose, table, {**first, **changes})
