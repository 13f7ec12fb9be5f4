"""Put the seeded rows into a registry, where they are absent.

A row whose natural key is taken stays as it is; everything that is put in is one registry write.
Source: REG-130 to REG-136.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from millrace.schema import seeds
from millrace.schema.tables import Changes, Tables
from millrace.store.registry_write import SYSTEM, Actor, NothingChanged, registry_write

KINDS: Final = ("base", "demo")
_STAMPS: Final = {
    "alert_rules": ("created_at", "updated_at"),
    "device_parameters": ("created_at", "updated_at"),
    "device_templates": ("created_at", "updated_at"),
    "devices": ("created_at", "updated_at"),
    "template_versions": ("created_at", "activated_at"),
}
_NATURAL_KEYS: Final = {
    "alert_rules": ("name",),
    "connectors": ("controller_id", "connector_number"),
    "data_point_icons": ("icon_name",),
    "device_templates": ("name", "model"),
    "device_types": ("code",),
    "devices": ("device_id",),
    "pins": ("connector_id", "position"),
}
_NUMBERS: Final = {"alert_rules": "rule_id"}


def seed(tables: Tables, kind: str, *, at_ns: int, actor: Actor = SYSTEM) -> int:
    """Insert the `base` rows, or those and the `demo` rows; return how many were absent.

    Idempotent: yes; when nothing is absent no registry version is taken.
    """
    if kind not in KINDS:
        raise ValueError(kind)
    with registry_write(tables, at_ns=at_ns, actor=actor) as write:
        sower = _Sower(write.changes, write.at)
        sower.base()
        if kind == "demo":
            sower.demo()
        if not sower.inserted:
            raise NothingChanged
        write.audit("seed", "registry", kind, after={"rows": sower.inserted})
        return sower.inserted
    return 0


class _Sower:
    """Inserts seeded rows and counts those that were absent."""

    def __init__(self, changes: Changes, at: str) -> None:
        self._changes = changes
        self._at = at
        self.inserted = 0

    def base(self) -> None:
        for row in seeds.DEVICE_TYPES:
            self._insert("device_types", row)
        for name in seeds.ICONS:
            self._insert("data_point_icons", {"icon_name": name})
        for rule in seeds.ALERT_RULES:
            self._insert("alert_rules", rule)

    def demo(self) -> None:
        for template in seeds.TEMPLATES:
            self._template(template)
        for controller in seeds.CONTROLLERS:
            self._controller(controller)
        ids = {attached.claiming_code: self._attached(attached) for attached in seeds.ATTACHED}
        for controller in seeds.CONTROLLERS:
            self._connectors(controller)
        for wire in seeds.WIRING:
            self._wire(wire, ids[wire.claiming_code])
        for parameter in seeds.PARAMETERS:
            self._parameter(parameter)
        for row in seeds.STANDALONE:
            self._insert("devices", {**row, "metadata": _json(row.get("metadata", {}))})

    def _template(self, template: seeds.Template) -> None:
        number = self._insert(
            "device_templates",
            {
                "name": template.name,
                "model": template.model,
                "device_type_id": self._type_of(template)[0],
            },
        )
        if number is None:
            return
        version = self._insert(
            "template_versions",
            {"device_template_id": number, "version": 1, "status": "active"},
        )
        for point in template.points:
            icon = self._find(
                "SELECT id FROM data_point_icons WHERE icon_name = :name", name=point.label
            )
            self._insert(
                "data_points",
                {
                    **point._asdict(),
                    "template_version_id": version,
                    "byte_length": 2,
                    "data_point_icon_id": icon[0],
                },
            )

    def _controller(self, controller: seeds.Controller) -> None:
        self._insert(
            "devices",
            {
                "device_id": f"f2-{controller.mac_address}",
                "family": "f2",
                "role": "controller",
                "device_name": controller.name,
                "mac_address": controller.mac_address,
                "claiming_code": controller.claiming_code,
                "group_path": seeds.F2_GROUP,
                **self._typed(seeds.TEMPLATES[0].model),
            },
        )

    def _attached(self, attached: seeds.Attached) -> str:
        known = self._changes.rows(
            "SELECT device_id FROM devices WHERE claiming_code = :code", code=attached.claiming_code
        )
        if known:
            return str(known[0][0])
        # The name holds the number, so the number has to be known before the row is there.
        number = self._changes.next_number("devices")
        self._insert(
            "devices",
            {
                "id": number,
                "device_id": f"dev-{number}",
                "family": "f2",
                "role": "attached",
                "device_name": attached.name,
                "claiming_code": attached.claiming_code,
                "group_path": seeds.F2_GROUP,
                **self._typed(attached.model),
            },
        )
        return f"dev-{number}"

    def _connectors(self, controller: seeds.Controller) -> None:
        for number in seeds.CONNECTOR_NUMBERS:
            self._insert(
                "connectors",
                {
                    "controller_id": f"f2-{controller.mac_address}",
                    "connector_number": number,
                    "connector_type_id": seeds.CONNECTOR_TYPE_ID,
                },
            )

    def _wire(self, wire: seeds.Wire, device_id: str) -> None:
        connector = self._find(
            "SELECT id FROM connectors WHERE controller_id = :id AND connector_number = :number",
            id=f"f2-{wire.mac_address}",
            number=wire.connector,
        )
        self._insert(
            "pins",
            {"connector_id": connector[0], "position": wire.position, "device_id": device_id},
        )

    def _parameter(self, parameter: seeds.Parameter) -> None:
        row = parameter._asdict()
        self._insert("device_parameters", {"connector_mode": row.pop("mode"), **row})

    def _typed(self, model: str) -> dict[str, Any]:
        template = next(each for each in seeds.TEMPLATES if each.model == model)
        number = self._find(
            "SELECT id FROM device_templates WHERE name = :name AND model = :model",
            name=template.name,
            model=model,
        )[0]
        return {"device_template_id": number, "device_type": self._type_of(template)[1]}

    def _type_of(self, template: seeds.Template) -> tuple[Any, ...]:
        code = template.type_code
        name = next(row["name"] for row in seeds.DEVICE_TYPES if row["code"] == code)
        # A type of that name made by hand took the place of the seeded one.
        return self._find(
            "SELECT id, code FROM device_types WHERE code = :code OR name = :name"
            " ORDER BY code <> :code",
            code=code,
            name=name,
        )

    def _find(self, query: str, /, **values: object) -> tuple[Any, ...]:
        return self._changes.rows(query, **values)[0]

    def _insert(self, table: str, row: Mapping[str, Any]) -> int | None:
        """Insert a row whose natural key is absent; return its number, else None."""
        stamped = {**row, **dict.fromkeys(_STAMPS.get(table, ()), self._at)}
        columns, marks = ", ".join(stamped), ", ".join(f":{name}" for name in stamped)
        # Names come from the seeds of this package, never from input.
        key = " AND ".join(f"{name} = :{name}" for name in _NATURAL_KEYS.get(table, ()))
        # A number that a conflict uses up is gone on PostgreSQL, so it is looked for first.
        if key and self._changes.rows(
            f"SELECT 1 FROM {table} WHERE {key}",  # noqa: S608
            **{name: stamped[name] for name in _NATURAL_KEYS[table]},
        ):
            return None
        inserted = self._changes.rows(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608
            f" ON CONFLICT DO NOTHING RETURNING {_NUMBERS.get(table, 'id')}",
            **stamped,
        )
        self.inserted += len(inserted)
        return int(inserted[0][0]) if inserted else None


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
