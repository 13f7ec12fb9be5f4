"""Devices for the load: registered in bulk, as one registry write, before anything runs."""

from contextlib import closing
from typing import Any

import apsw

from millrace.settings import Settings
from millrace.store.bulk import bulk_devices
from millrace.store.registry_write import registry_write
from millrace.store.sqlite import open_store
from millrace.store.tables import SqliteTables, open_tables
from millrace.wiring.places import store_path

AT_NS = 1_772_323_200_000_000_000
FIRST_MAC = 0xB10000000000
MODEL = "ENV-S1"


def mac(number: int) -> str:
    """Return the MAC address of one F2 controller of the load."""
    return f"{FIRST_MAC + number:012x}"


def add_f2(settings: Settings, count: int) -> None:
    """Register F2 controllers, each with an environmental sensor on J1, pin 1."""
    with (
        closing(open_store(store_path(settings))) as db,
        registry_write(SqliteTables(db), at_ns=AT_NS) as write,
    ):
        template, kind = _only(
            db,
            "SELECT t.id, y.code FROM device_templates t JOIN device_types y"
            " ON y.id = t.device_type_id WHERE t.model = ?",
            MODEL,
        )
        first = int(_only(db, "SELECT coalesce(max(id), 0) + 1 FROM devices")[0])
        _devices(db, write.at, count, first)
        db.executemany(
            "UPDATE devices SET device_template_id = ?, device_type = ? WHERE id = ?",
            ((template, kind, first + count + n) for n in range(count)),
        )
        _wire(db, count, first + count)
        write.audit("import", "registry", "bench", after={"rows": 2 * count})


def add_meters(settings: Settings, count: int) -> None:
    """Register rail meters."""
    rows = (
        {"device_id": f"bench-meter-{n:05d}", "family": "meter", "device_type": "power_meter_dc"}
        for n in range(count)
    )
    with closing(open_tables(store_path(settings), read_only=False)) as tables:
        bulk_devices(tables, rows, at_ns=AT_NS)


def _devices(db: apsw.Connection, made_at: str, count: int, first: int) -> None:
    """Insert controllers, then what is attached to them; the name of the latter holds its id."""
    insert = (
        "INSERT INTO devices (id, device_id, device_name, family, role, mac_address, group_path,"
        " created_at, updated_at) VALUES (?, ?, ?, 'f2', ?, ?, '/bench', ?, ?)"
    )
    controllers = (
        (first + n, f"f2-{mac(n)}", f"Controller {n}", "controller", mac(n), made_at, made_at)
        for n in range(count)
    )
    attached = (
        (at, f"dev-{at}", f"Sensor {n}", "attached", None, made_at, made_at)
        for n, at in enumerate(range(first + count, first + 2 * count))
    )
    db.executemany(insert, controllers)
    db.executemany(insert, attached)


def _wire(db: apsw.Connection, count: int, first_attached: int) -> None:
    at = int(_only(db, "SELECT coalesce(max(id), 0) + 1 FROM connectors")[0])
    db.executemany(
        "INSERT INTO connectors (id, controller_id, connector_number, connector_type_id)"
        " VALUES (?, ?, 1, 3)",
        ((at + n, f"f2-{mac(n)}") for n in range(count)),
    )
    db.executemany(
        "INSERT INTO pins (connector_id, position, device_id) VALUES (?, 1, ?)",
        ((at + n, f"dev-{first_attached + n}") for n in range(count)),
    )


def _only(db: apsw.Connection, query: str, *values: str) -> tuple[Any, ...]:
    return tuple(db.execute(query, values).fetchall()[0])
