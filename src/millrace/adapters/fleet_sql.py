"""The fleet from the tables of the registry: whole batches of profiles in a handful of queries.

Every look-up is one read transaction, so a profile never mixes two registry versions. Statements
are fixed texts; what varies is bound as one list.
Source: REG-090, REG-093, REG-116, F2-003, F2-080.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from millrace.model.device import (
    Attached,
    DataPoint,
    DeviceProfile,
    Parameter,
    TemplateVersion,
    unknown,
)
from millrace.ports.fleet import Changes
from millrace.schema.identity import bare_mac, f2_device_id, mac_spellings
from millrace.schema.instants import read_instant
from millrace.schema.tables import Questions, Row, Tables
from millrace.store.timeline import Binding, decoder_timeline
from millrace.store.touched import touched_devices

_Key = tuple[str, str]

_COLUMNS: Final = (
    "d.device_id, d.registered, d.status, d.device_type, d.location, d.fw_version, d.time_zone,"
    " d.metadata, d.id"
)
# CROSS JOIN fixes the order: the asked-for ids drive, the registry answers from its indexes.
_BY_ID: Final = (
    f"SELECT k.value, {_COLUMNS} FROM texts(:keys) k"  # noqa: S608 - own names
    " CROSS JOIN devices d ON d.device_id = k.value"
)
_BY_MAC: Final = (
    f"SELECT k.value, {_COLUMNS} FROM texts(:keys) k"  # noqa: S608 - own names
    " CROSS JOIN devices d ON d.mac_address = k.value"
    " WHERE d.family = 'f2' AND d.role <> 'attached'"
)
_WIRING: Final = (
    "SELECT c.controller_id, c.connector_number, p.position, a.device_id, a.device_template_id,"
    " coalesce(a.fw_version, ''), a.id FROM texts(:keys) k"
    " CROSS JOIN connectors c ON c.controller_id = k.value"
    " CROSS JOIN pins p ON p.connector_id = c.id"
    " CROSS JOIN devices a ON a.device_id = p.device_id"
)
_BINDINGS: Final = (
    "SELECT b.device_id, b.template_version_id, b.fw_version, b.valid_from, b.valid_to"
    " FROM texts(:keys) k CROSS JOIN decoder_bindings b ON b.device_id = k.value"
)
_VERSIONS: Final = (
    "SELECT id, device_template_id, status, crc, activated_at, retired_at FROM template_versions"
    " WHERE (status <> 'draft'"
    " AND device_template_id IN (SELECT k.value FROM numbers(:templates) k))"
    " OR id IN (SELECT k.value FROM numbers(:bound) k)"
    " ORDER BY activated_at IS NOT NULL, activated_at, version"
)
_POINTS: Final = (
    "SELECT p.template_version_id, coalesce(p.origin_id, p.id), p.label, p.data_encoding, p.bit,"
    " p.byte_offset, p.byte_length, p.byte_order, p.decimals, p.data_format, p.prepend, p.append,"
    " p.whole_number FROM numbers(:keys) k"
    " CROSS JOIN data_points p ON p.template_version_id = k.value"
    " ORDER BY 1, 2"
)
_PARAMETERS: Final = (
    "SELECT r.device_id, r.id, r.connector_mode, r.component_type, r.component_id,"
    " r.encoding_type, r.units, r.scaling_factor FROM texts(:keys) k"
    " CROSS JOIN device_parameters r ON r.device_id = k.value ORDER BY r.id"
)

_LEGACY_MODES: Final = {
    "access-control": "access-control-mode",
    "alarm": "alarm-mode",
    "sensor": "sensor-mode",
}
_LEGACY_TYPES: Final = {"rs485-sensor": "sensor", "qr-nfc-reader": "reader"}


class SqlFleet:
    """Look-ups in the registry; see `ports.fleet.Fleet`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def version(self) -> int:
        with self._tables.reading() as asked:
            return _version(asked)

    def profiles(self, keys: Sequence[_Key]) -> dict[_Key, DeviceProfile]:
        own = {key: _own_id(*key) for key in keys}
        with self._tables.reading() as asked:
            rows = _device_rows(asked, own)
            stored = sorted({row[0] for (family, _), row in rows.items() if family == "f2"})
            pins = _pins(asked, stored)
            parameters = _parameters(asked, stored)
        return {
            key: _profile(key[0], device_id, rows[key], pins, parameters)
            if key in rows
            else unknown(device_id, key[0])
            for key, device_id in own.items()
        }

    def changes(self, since: int) -> Changes:
        with self._tables.reading() as asked:
            version = _version(asked)
            return Changes(version, touched_devices(asked, since, version))

    def close(self) -> None:
        self._tables.close()


def _version(asked: Questions) -> int:
    return int(asked.rows("SELECT version FROM registry_version WHERE id = 1")[0][0])


def _own_id(family: str, device_id: str) -> str:
    return (f2_device_id(device_id) or device_id) if family == "f2" else device_id


def _device_rows(asked: Questions, own: Mapping[_Key, str]) -> dict[_Key, Row]:
    """Return the row of each known device, for F2 by MAC before device id (F2-080)."""
    found = {row[0]: row[1:] for row in _rows(asked, _BY_ID, keys=set(own.values()))}
    macs = {i: bare_mac(i[3:]) for (family, _), i in own.items() if family == "f2"}
    by_mac = {
        row[0]: row[1:] for row in _rows(asked, _BY_MAC, keys={m for m in macs.values() if m})
    }
    missing = [i for i, mac in macs.items() if i not in found and mac not in by_mac]
    found |= _other_spellings(asked, missing)
    rows: dict[_Key, Row] = {}
    for key, device_id in own.items():
        row = by_mac.get(macs[device_id]) if key[0] == "f2" else None
        row = row or found.get(device_id)
        if row is not None:
            rows[key] = row
    return rows


def _other_spellings(asked: Questions, device_ids: Sequence[str]) -> dict[str, Row]:
    """Find rows written by hand, whose id is a MAC in another spelling (F2-003)."""
    owners = {form: device_id for device_id in device_ids for form in mac_spellings(device_id)}
    return {owners[row[0]]: row[1:] for row in _rows(asked, _BY_ID, keys=owners)} if owners else {}


def _profile(
    family: str,
    device_id: str,
    row: Row,
    pins: dict[str, dict[tuple[int, int], Attached]],
    parameters: dict[str, list[Parameter]],
) -> DeviceProfile:
    stored_id, registered, status, device_type, location, fw_version, *rest = row
    time_zone, metadata, number = rest
    is_f2 = family == "f2"
    return DeviceProfile(
        device_id,
        family,
        registered=bool(registered),
        status=status,
        device_type=device_type,
        location=location,
        fw_version=fw_version,
        time_zone=time_zone,
        metadata={} if metadata == "{}" else json.loads(metadata),
        pins=pins.get(stored_id, {}) if is_f2 else {},
        parameters=tuple(parameters.get(stored_id, ())) if is_f2 else (),
        number=number,
    )


def _pins(
    asked: Questions, controller_ids: Sequence[str]
) -> dict[str, dict[tuple[int, int], Attached]]:
    wiring = list(_rows(asked, _WIRING, keys=controller_ids))
    bindings: defaultdict[str, list[Binding]] = defaultdict(list)
    for device_id, version_id, fw, start, stop in _rows(
        asked, _BINDINGS, keys={row[3] for row in wiring}
    ):
        bindings[device_id].append(Binding(version_id, fw, _ns(start), _ns(stop)))
    templates = {row[4] for row in wiring if row[4] is not None}
    bound_ids = {binding.version_id for each in bindings.values() for binding in each}
    by_template, by_id = _versions(asked, templates, bound_ids)
    pins: defaultdict[str, dict[tuple[int, int], Attached]] = defaultdict(dict)
    for controller, connector, position, device_id, template, fw, number in wiring:
        versions: Sequence[TemplateVersion] = by_template.get(template, ())
        if device_id in bindings:
            versions = decoder_timeline(versions, bindings[device_id], by_id, fw)
        pins[controller][connector, position] = Attached(device_id, tuple(versions), number)
    return pins


def _versions(
    asked: Questions, templates: set[int], bound_ids: set[int]
) -> tuple[dict[int, tuple[TemplateVersion, ...]], dict[int, TemplateVersion]]:
    """Return the released versions of templates in order of activation, and all by id."""
    rows = list(_rows(asked, _VERSIONS, templates=sorted(templates), bound=sorted(bound_ids)))
    points = _points(asked, [row[0] for row in rows])
    by_template: defaultdict[int, list[TemplateVersion]] = defaultdict(list)
    by_id: dict[int, TemplateVersion] = {}
    for number, template, status, crc, activated_at, retired_at in rows:
        version = TemplateVersion(
            number, tuple(points[number]), crc, _ns(activated_at), _ns(retired_at)
        )
        by_id[number] = version
        if status != "draft":
            by_template[template].append(version)
    return {template: tuple(found) for template, found in by_template.items()}, by_id


def _points(asked: Questions, version_ids: Sequence[int]) -> defaultdict[int, list[DataPoint]]:
    points: defaultdict[int, list[DataPoint]] = defaultdict(list)
    for row in _rows(asked, _POINTS, keys=version_ids):
        version_id, number, label, encoding, bit, *rest = row
        name = encoding if bit is None else f"{encoding}({bit})"
        points[version_id].append(DataPoint(number, label, name, *rest))
    return points


def _parameters(asked: Questions, device_ids: Sequence[str]) -> dict[str, list[Parameter]]:
    parameters: defaultdict[str, list[Parameter]] = defaultdict(list)
    for device_id, number, mode, kind, component_id, *rest in _rows(
        asked, _PARAMETERS, keys=device_ids
    ):
        parameters[device_id].append(
            Parameter(
                number,
                _usual(mode, _LEGACY_MODES),
                _usual(kind, _LEGACY_TYPES),
                component_id or None,
                *rest,
            )
        )
    return parameters


def _usual(name: str, legacy: Mapping[str, str]) -> str:
    """Return a name as F2-004 and REG-070 spell it; rows written by hand may hold the old one."""
    bare = name.strip().lower()
    return legacy.get(bare, bare)


def _rows(asked: Questions, query: str, **lists: Iterable[Any]) -> list[Row]:
    """Run a query over lists, unless nothing is asked."""
    values = {name: list(each) for name, each in lists.items()}
    return asked.rows(query, **values) if any(values.values()) else []


def _ns(stored: str | None) -> int | None:
    return None if stored is None else read_instant(stored)
