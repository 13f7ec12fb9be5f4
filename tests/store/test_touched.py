"""The audit log says which devices to decode anew (REG-116, REG-117)."""

from typing import Any

import apsw
import pytest

from millrace.store.registry_write import registry_write
from millrace.store.seeding import seed
from millrace.store.tables import SqliteTables
from millrace.store.touched import MAX_DEVICES, touched_devices

AT_NS = 1_751_457_600_000_000_000
SINCE = 2


@pytest.fixture
def demo(db: apsw.Connection) -> apsw.Connection:
    seed(SqliteTables(db), "demo", at_ns=AT_NS)
    return db


def _write(db: apsw.Connection, kind: str, object_id: str, **states: Any) -> int:
    with registry_write(SqliteTables(db), at_ns=AT_NS) as write:
        write.audit("update", kind, object_id, **states)
    return write.version


FIRST, THIRD = "f2-e4fd45f654be", "f2-123456abcdef"
CASES: list[tuple[str, str, dict[str, Any], set[str]]] = [
    ("device", "dc-meter-001", {}, {"dc-meter-001"}),
    ("device", "dev-4", {}, {"dev-4", FIRST}),
    ("device", "a", {"after": ["a", "b"]}, {"a", "b"}),
    ("device", "E4:FD:45:F6:54:BE", {}, {"E4:FD:45:F6:54:BE", FIRST}),
    ("device", "gate_7", {"before": {"mac_address": "e4fd45f654be"}}, {"gate_7", FIRST}),
    ("template", "2", {}, {"dev-4", "dev-6", FIRST, THIRD}),
    ("template_version", "2", {"after": {"device_template_id": 4}}, {"dev-7", THIRD}),
    ("data_point", "1", {"before": {"device_template_id": 5}}, {"dev-8", THIRD}),
    ("connector", "1", {"after": {"controller_id": FIRST}}, {FIRST}),
    (
        "pin",
        "1",
        {"before": {"connector_id": 1, "device_id": "dev-4"}},
        {"dev-4", FIRST},
    ),
    ("pin", "1", {"after": {"connector_id": 9}}, {THIRD}),
    ("parameter", "1", {"after": {"device_id": FIRST}}, {FIRST}),
    ("decoder_binding", "1", {"after": {"device_id": "dev-5"}}, {"dev-5", "f2-abc123def456"}),
    ("alert_rule", "1", {}, set()),
    ("icon", "1", {}, set()),
]


@pytest.mark.parametrize(("kind", "object_id", "states", "devices"), CASES)
def test_touched(
    demo: apsw.Connection, kind: str, object_id: str, states: dict[str, Any], devices: set[str]
) -> None:
    version = _write(demo, kind, object_id, **states)
    assert touched_devices(SqliteTables(demo), SINCE, version) == frozenset(devices)


@pytest.mark.parametrize(
    ("kind", "states"),
    [
        ("registry", {}),
        ("pin", {}),
        ("data_point", {"after": {"label": "x"}}),
        ("something", {}),
        ("device", {"after": [f"d{n}" for n in range(MAX_DEVICES)]}),
    ],
)
def test_any_device_when_the_log_does_not_say(
    demo: apsw.Connection, kind: str, states: dict[str, Any]
) -> None:
    version = _write(demo, kind, "1", **states)
    assert touched_devices(SqliteTables(demo), SINCE, version) is None


def test_several_writes_add_up_and_other_rows_are_stepped_over(demo: apsw.Connection) -> None:
    _write(demo, "device", "a")
    demo.execute(
        "INSERT INTO audit_log (actor_kind, actor, action, object_type, object_id)"
        " VALUES ('user', 'ada', 'login', 'user', '1')"
    )
    version = _write(demo, "device", "b")
    assert touched_devices(SqliteTables(demo), SINCE, version) == frozenset({"a", "b"})
    assert touched_devices(SqliteTables(demo), version - 1, version) == frozenset({"b"})
    assert touched_devices(SqliteTables(demo), version, version) == frozenset()


def test_a_version_without_a_trail_touches_everything(demo: apsw.Connection) -> None:
    with registry_write(SqliteTables(demo), at_ns=AT_NS):
        pass
    version = _write(demo, "device", "b")
    assert touched_devices(SqliteTables(demo), SINCE, version) is None
    assert touched_devices(SqliteTables(demo), version + 1, version) is None
