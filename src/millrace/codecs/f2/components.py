"""The components of an F2 controller as a table, with the words of older firmware.

Source: f2.md sections 5 and 6 (F2-050, F2-060).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

COUNT_UNIT: Final = "count"


class Use(Enum):
    """What becomes of a legacy field."""

    MAIN = "main"
    NUMBER = "number"
    NOTE = "note"
    DETAIL = "detail"


class Legacy(NamedTuple):
    """A legacy field: its use, and its unit where it is a number."""

    use: Use
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Component:
    """One line of F2-050; `numbers` is the highest number, 0 for an unnumbered component."""

    mode: str
    encoding: str
    unit: str = ""
    numbers: int = 0
    legacy: Mapping[str, Legacy] = field(default_factory=dict)


_MAIN = Legacy(Use.MAIN)
_NOTE = Legacy(Use.NOTE)

COMPONENTS: Final[Mapping[str, Component]] = {
    "strike": Component(
        "access-control-mode",
        "boolean",
        "state",
        2,
        {
            "state": _MAIN,
            "voltage": Legacy(Use.NUMBER, "V"),
            "current": Legacy(Use.NUMBER, "A"),
        },
    ),
    "door-sensors": Component("access-control-mode", "boolean_map", "state"),
    "reader": Component(
        "access-control-mode",
        "raw_string",
        "text",
        2,
        {
            "card_id": _MAIN,
            "read_type": Legacy(Use.DETAIL),
            "signal_strength": Legacy(Use.NUMBER, "%"),
        },
    ),
    "exit-buttons": Component("access-control-mode", "boolean_map", "state"),
    "siren": Component(
        "alarm-mode",
        "boolean",
        "state",
        2,
        {"state": _MAIN, "volume": Legacy(Use.NUMBER, "dB"), "pattern": _NOTE},
    ),
    "motion-sensor": Component(
        "alarm-mode",
        "boolean",
        "presence",
        5,
        {"motion_detected": _MAIN, "sensitivity": Legacy(Use.NUMBER), "zone": _NOTE},
    ),
    "sensor": Component("sensor-mode", "frame", "", 6),
}

REGISTRY_SPELLINGS: Final[Mapping[str, str]] = {
    "rs485-sensor": "sensor",
    "qr-nfc-reader": "reader",
}
