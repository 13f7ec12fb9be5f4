"""Readings as lines of InfluxDB's line protocol.

A reading of a sensor (its attributes have a device type) is a field of the measurement of that
type; any other is the field `value` of `iot_telemetry`. Names come from devices, so what has a
meaning in a line is escaped. Servers disagree about a backslash before such a character, so there
is never one: it becomes a slash. Control characters become blanks, and `#` does not begin a line,
where it would make a comment of it.
Source: MTR-120, SNS-080; A21.
"""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, NamedTuple

from millrace.ports.sink import SeriesName

MEASUREMENT: Final = "iot_telemetry"
# Written as integers, rounded half to even (SNS-080).
INTEGERS: Final = ("meta_battery_level", "meta_signal_strength")
NOT_WRITTEN: Final = "health_score"

_MAX_INTEGER = 2.0**63
# The separators of str.splitlines are control characters to some readers of lines.
_CONTROLS = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")
_BACKSLASHES = re.compile(r"\\+(?=[,= ]|$)")
_MEANINGFUL = re.compile(r"([,= ])")


class Head(NamedTuple):
    """What the lines of one series with one version of its attributes begin with."""

    text: str
    is_sensor: bool
    is_integer: bool = False


def head_of(name: SeriesName, attributes: Mapping[str, Any]) -> Head | None:
    """Return the head of a series; None when its readings are not written at all.

    Shape: measurement, tags, blank, name of the field, equals sign.
    """
    device_type = attributes.get("device_type")
    if not device_type:
        return _telemetry(name, attributes.get("unit"))
    if name.metric == NOT_WRITTEN:
        return None
    tags = [("device_id", name.device_id), ("location", attributes.get("location"))]
    text = f"{_measurement(str(device_type))}{_tags(tags)} {escaped(name.metric)}="
    return Head(text, is_sensor=True, is_integer=name.metric in INTEGERS)


def line_of(head: Head, value: float, time_ns: int) -> str | None:
    """Return one line; None when the value cannot be written."""
    if not isfinite(value):
        return None
    if head.is_integer:
        whole = round(value)
        return f"{head.text}{whole}i {time_ns}" if abs(value) < _MAX_INTEGER else None
    return f"{head.text}{repr(value).removesuffix('.0')} {time_ns}"


def escaped(text: str) -> str:
    """Return text as the name or value of a tag, or the name of a field."""
    plain = _CONTROLS.sub(" ", text)
    plain = _BACKSLASHES.sub(lambda found: "/" * len(found[0]), plain)
    return _MEANINGFUL.sub(r"\\\1", plain)


def _telemetry(name: SeriesName, unit: str | None) -> Head:
    tags = [
        ("device_id", name.device_id), ("metric", name.metric), ("channel", name.channel),
        ("unit", unit),
    ]  # fmt: skip
    return Head(f"{MEASUREMENT}{_tags(tags)} value=", is_sensor=False)


def _measurement(text: str) -> str:
    # In a measurement `=` has no meaning, and a backslash before it would be one.
    name = escaped(text).replace("\\=", "=")
    return f"_{name[1:]}" if name.startswith("#") else name


def _tags(tags: list[tuple[str, str | None]]) -> str:
    return "".join(f",{name}={escaped(value)}" for name, value in tags if value)
