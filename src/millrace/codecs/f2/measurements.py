"""Measurements from elsewhere: decoded records of other producers, imports, the API.

Source: f2.md section 15 (F2-190 to F2-192).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from millrace.codecs.f2.topics import device_id_of
from millrace.errors import RejectError
from millrace.model.instants import DAY_NS, YEAR_2000_NS, parse_instant
from millrace.model.numbers import read_quantity
from millrace.model.quality import CLOCK

_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "device_id": ("mac_address",),
    "connector_mode": ("mode",),
    "component_type": ("datapoint_label", "data_point_label"),
    "pin_position": ("pin", "component_id"),
    "topic": ("original_topic",),
}
_NO_PIN: Final = "-1"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of a record. `label` is the key when the record's value was an object.

    Units: `time_ns` UTC nanoseconds; `flags` as in `model.quality`.
    """

    time_ns: int
    flags: int
    device_id: str
    connector_mode: str
    component_type: str
    pin_position: str
    value: float
    unit: str
    topic: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """The good values of a record, and what is wrong with the others by label."""

    measurements: tuple[Measurement, ...]
    problems: tuple[tuple[str, RejectError], ...]


def read_measurements(
    record: Mapping[str, Any], received_at_ns: int, zone: ZoneInfo | None = None
) -> Measured:
    """Return the measurements of a record, one for each key when its value is an object.

    Units: `received_at_ns` UTC nanoseconds, the time of a record without a usable one.
    Raises:
        RejectError: `no_device`.
    Source: F2-191, F2-192.
    """
    time_ns = parse_instant(record.get("timestamp"), zone)
    flags = 0
    if time_ns is None or not YEAR_2000_NS <= time_ns <= received_at_ns + DAY_NS:
        time_ns, flags = received_at_ns, CLOCK
    device_id = _device(record)
    given = record.get("value")
    values = given if type(given) is dict else {"": given}
    good, bad = [], []
    for label, value in values.items():
        try:
            number, text_unit = read_quantity(value)
        except RejectError as problem:
            bad.append((label, problem))
            continue
        good.append(
            Measurement(
                time_ns=time_ns,
                flags=flags,
                device_id=device_id,
                connector_mode=_text(_field(record, "connector_mode"), "unknown"),
                component_type=_text(_field(record, "component_type"), "unknown"),
                pin_position=_text(_field(record, "pin_position"), _NO_PIN),
                value=number,
                unit=_unit(record.get("unit"), label) or text_unit,
                topic=_text(_field(record, "topic"), ""),
                label=label,
            )
        )
    return Measured(tuple(good), tuple(bad))


def _field(record: Mapping[str, Any], name: str) -> Any:
    for key in (name, *_ALIASES[name]):
        if key in record:
            return record[key]
    return None


def _device(record: Mapping[str, Any]) -> str:
    name = _field(record, "device_id")
    if type(name) is not str:
        raise RejectError("no_device", "the record names no device", element="device_id")
    try:
        return device_id_of(name)
    except RejectError:
        raise RejectError("no_device", "no device id", element="device_id") from None


def _text(value: Any, default: str) -> str:
    if type(value) is str:
        return value or default
    if type(value) is int or type(value) is float:
        return str(value)
    return default


def _unit(unit: Any, label: str) -> str:
    if type(unit) is dict:
        unit = unit.get(label)
    return unit if type(unit) is str else ""
