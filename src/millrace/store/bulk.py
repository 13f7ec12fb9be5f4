"""Many devices at once, for imports and measurements.

Source: REG-101 (a bulk import is one registry write), D-27.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from millrace.schema.tables import Tables
from millrace.store.registry_write import SYSTEM, Actor, registry_write

_DEFAULTS: Final[dict[str, Any]] = {
    "device_id": None,
    "device_name": None,
    "family": "generic",
    "role": "standalone",
    "registered": True,
    "status": "active",
    "device_type": None,
    "device_template_id": None,
    "mac_address": None,
    "location": None,
    "group_path": "/",
    "time_zone": None,
    "metadata": {},
}
_INSERT: Final = (
    f"INSERT INTO devices ({', '.join(_DEFAULTS)}, created_at, updated_at)"  # noqa: S608 - own names
    f" VALUES ({', '.join(f':{name}' for name in _DEFAULTS)}, :at, :at)"
    " ON CONFLICT (device_id) DO NOTHING"
)


def bulk_devices(
    tables: Tables, rows: Iterable[Mapping[str, Any]], *, at_ns: int, actor: Actor = SYSTEM
) -> int:
    """Insert devices as one registry write; return how many were absent.

    Shape: a row has `device_id` and any of the columns above; `device_name` is the id by default.

    Raises:
        ValueError: A row has another column.
        StopError: A row breaks a rule of the table; nothing was written.
    """
    with registry_write(tables, at_ns=at_ns, actor=actor) as write:
        inserted = write.changes.change_all(_INSERT, (_values(row, write.at) for row in rows))
        write.audit("import", "registry", "devices", after={"rows": inserted})
    return inserted


def _values(row: Mapping[str, Any], at: str) -> dict[str, Any]:
    if not row.keys() <= _DEFAULTS.keys():
        raise ValueError(f"unknown columns: {sorted(row.keys() - _DEFAULTS.keys())}")
    full = {**_DEFAULTS, "device_name": row["device_id"], **row}
    full["metadata"] = msgspec.json.encode(full["metadata"]).decode()
    return {**full, "at": at}
