"""Which devices the registry writes after a version touch, read from the audit log.

Versions are dense (REG-100), so a version without an audit row means that the log does not tell
everything, and then any device may have changed. What the rows hold: `store.registry_write`.
Source: REG-116, REG-117, D-25.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from millrace.schema.identity import f2_device_id
from millrace.schema.tables import Questions

MAX_DEVICES: Final = 1000
MAX_ROWS: Final = 5000
_SLICE: Final = 250

_WITHOUT_EFFECT: Final = frozenset({"alert_rule", "device_type", "icon", "user", "api_key"})
_OF_DEVICE: Final = frozenset({"connector", "decoder_binding", "device_config", "parameter", "pin"})
_OF_TEMPLATE: Final = frozenset({"data_point", "template", "template_version"})

# The newest rows are the ones asked for; logins and the like have no version and are stepped over.
_AUDIT: Final = (
    "SELECT id, registry_version, object_type, object_id, before, after FROM audit_log"
    " WHERE registry_version IS NOT NULL AND id < :below ORDER BY id DESC LIMIT :limit"
)
_DEVICES_OF_TEMPLATES: Final = (
    "SELECT d.device_id FROM numbers(:ids) k"
    " CROSS JOIN devices d ON d.device_template_id = k.value LIMIT :limit"
)
_CONTROLLERS: Final = (
    "SELECT DISTINCT c.controller_id FROM texts(:ids) k"
    " CROSS JOIN pins p ON p.device_id = k.value JOIN connectors c ON c.id = p.connector_id"
)
_OWNERS: Final = (
    "SELECT c.controller_id FROM numbers(:ids) k CROSS JOIN connectors c ON c.id = k.value"
    " LIMIT :limit"
)


def touched_devices(asked: Questions, since: int, version: int) -> frozenset[str] | None:
    """Return the devices touched in (since, version], controllers of touched pins included.

    None means that any device may have changed: too many, or the log does not say.
    """
    found = _Touched()
    if since == version:
        return frozenset()
    seen: set[int] = set()
    for number, kind, object_id, before, after in _audited(asked, since):
        seen.add(number)
        if not found.take(kind, object_id, before, after):
            return None
    if since > version or len(seen) != version - since:
        return None
    return found.expanded(asked)


def _audited(asked: Questions, since: int) -> Iterator[tuple[Any, ...]]:
    """Yield what registry writes after a version left, newest first; a slice at a time."""
    below = 2**63 - 1
    for _ in range(0, MAX_ROWS, _SLICE):
        rows = asked.rows(_AUDIT, below=below, limit=_SLICE)
        for _, version, *rest in rows:
            if version <= since:
                return
            yield (version, *rest)
        if len(rows) < _SLICE:
            return
        below = rows[-1][0]


class _Touched:
    """Ids collected from audit rows."""

    def __init__(self) -> None:
        self._devices: set[str] = set()
        self._templates: set[int] = set()
        self._connectors: set[int] = set()

    def take(self, kind: str, object_id: str, before: Any, after: Any) -> bool:
        """Add what one audit row touches; False when it cannot be told."""
        if kind in _WITHOUT_EFFECT:
            return True
        states = [json.loads(text) for text in (before, after) if text is not None]
        rows = [state for state in states if isinstance(state, dict)]
        if kind == "device":
            lists = [state for state in states if isinstance(state, list)]
            macs = [f"f2-{row['mac_address']}" for row in rows if row.get("mac_address")]
            self._devices.update([object_id], macs, *lists)
            return len(self._devices) <= MAX_DEVICES
        if kind in _OF_DEVICE:
            return self._take_wiring(rows)
        return kind in _OF_TEMPLATE and self._take_template(kind, object_id, rows)

    def expanded(self, asked: Questions) -> frozenset[str] | None:
        """Add the devices of touched templates and the controllers of touched devices."""
        for query, keys in ((_OWNERS, self._connectors), (_DEVICES_OF_TEMPLATES, self._templates)):
            rows = asked.rows(query, ids=sorted(keys), limit=MAX_DEVICES + 1)
            self._devices.update(row[0] for row in rows)
        if len(self._devices) > MAX_DEVICES:
            return None
        owners = asked.rows(_CONTROLLERS, ids=sorted(self._devices))
        self._devices.update(row[0] for row in owners)
        # A row written by hand may spell a MAC differently from what topics are read as.
        self._devices.update({f2_device_id(device_id) or device_id for device_id in self._devices})
        return frozenset(self._devices) if len(self._devices) <= MAX_DEVICES else None

    def _take_wiring(self, rows: list[dict[str, Any]]) -> bool:
        ids = {row[name] for row in rows for name in ("device_id", "controller_id") if name in row}
        connectors = {row["connector_id"] for row in rows if "connector_id" in row}
        self._devices |= ids
        self._connectors |= connectors
        return bool(ids or connectors)

    def _take_template(self, kind: str, object_id: str, rows: list[dict[str, Any]]) -> bool:
        named = {row["device_template_id"] for row in rows if "device_template_id" in row}
        if kind == "template" and object_id.isdecimal():
            named.add(int(object_id))
        self._templates |= named
        return bool(named)
