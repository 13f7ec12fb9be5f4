"""Topics of F2 controllers, in the current and the legacy form, as one normal form.

Source: f2.md section 1 (F2-002 to F2-007).
"""

import re
from dataclasses import dataclass
from typing import Final

from millrace.codecs.f2.components import COMPONENTS
from millrace.errors import RejectError

TYPES: Final = ("stat", "tele", "cmnd")
SENSOR_MODE: Final = "sensor-mode"
MODES: Final = ("access-control-mode", "alarm-mode", SENSOR_MODE)

_LEVELS: Final = 5
_REPLY_LEVELS: Final = 6
_MAC = re.compile(r"[0-9a-fA-F]{12}")
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SENSOR_DEVICE = re.compile(r"dev-[0-9]+")
_MODE = re.compile(r"[a-z0-9_-]{1,50}")
_NUMBERED = re.compile(r"(?:j?0?|conn)([1-5])", re.IGNORECASE)
_CONNECTOR = re.compile(r"[A-Za-z0-9_-]{1,16}")
_COMPONENT = re.compile(r"([a-z][a-z0-9_-]{0,47}?)(?:-([0-9]{1,3}))?")
_UNNUMBERED: Final = ("door-sensors", "exit-buttons")


@dataclass(frozen=True, slots=True)
class F2Topic:
    """A topic in normal form.

    `connector_number` is None for a connector beyond J1 to J5, which is kept as it was written.
    `is_reply_level` marks the six-level topic of the reader indicator.
    """

    text: str
    type: str
    device_id: str
    mode: str
    connector: str
    connector_number: int | None
    component_type: str
    component_id: str | None
    is_reply_level: bool = False

    @property
    def component(self) -> str:
        """Type and id as one name: `strike-1`, `door-sensors`."""
        if self.component_id is None:
            return self.component_type
        return f"{self.component_type}-{self.component_id}"

    @property
    def place(self) -> str:
        """Component and connector, without the mode."""
        return f"{self.component}.{self.connector}"

    @property
    def metric(self) -> str:
        """The metric of F2-040: with the mode unless it is the component's own."""
        known = COMPONENTS.get(self.component_type)
        if known is not None and known.mode == self.mode:
            return self.place
        return f"{self.place}.{self.mode}"

    @property
    def is_usual(self) -> bool:
        """Whether mode, connector, component and number are those of section 5 (F2-007)."""
        known = COMPONENTS.get(self.component_type)
        if known is None or known.mode != self.mode or self.connector_number is None:
            return False
        if known.numbers == 0:
            return self.component_id is None
        return self.component_id is not None and 1 <= int(self.component_id) <= known.numbers


def device_id_of(name: str) -> str:
    """Return the device id that a topic level, a MAC or an id of registry or API stands for.

    Raises:
        RejectError: `bad_topic`, the name can be no device; `dev-<digits>` is a sensor device.
    Source: F2-003.
    """
    bare = name[3:] if name[:3].lower() == "f2-" else name
    bare = bare.replace(":", "").replace("-", "")
    if _MAC.fullmatch(bare):
        return f"f2-{bare.lower()}"
    if _DEVICE.fullmatch(name) is None or _SENSOR_DEVICE.fullmatch(name):
        raise RejectError("bad_topic", "level 2 is no controller")
    return name


def mode_of(level: str) -> str:
    """Return the mode of a topic level or of a registry row. Source: F2-004."""
    mode = level.lower()
    return f"{mode}-mode" if f"{mode}-mode" in MODES else mode


def component_of(level: str) -> tuple[str, str | None]:
    """Return component type and id of a topic level.

    Raises:
        RejectError: `bad_topic`.
    Source: F2-006.
    """
    parts = _COMPONENT.fullmatch(level.lower())
    if parts is None:
        raise RejectError("bad_topic", "level 5 is no component")
    component_id = str(int(parts[2])) if parts[2] else None
    if component_id == "1" and parts[1] in _UNNUMBERED:
        component_id = None
    return parts[1], component_id


def parse_topic(topic: str) -> F2Topic | None:
    """Return a topic in normal form; None when its first level is no F2 one.

    Raises:
        RejectError: `bad_topic`.
    Source: F2-002.
    """
    levels = topic.split("/")
    if levels[0] not in TYPES:
        return None
    _check_shape(topic, levels)
    mode = mode_of(levels[2])
    if _MODE.fullmatch(mode) is None:
        raise RejectError("bad_topic", "level 3 is no mode")
    connector, number = _connector(levels[3])
    component_type, component_id = component_of(levels[4])
    is_reply_level = len(levels) == _REPLY_LEVELS
    if is_reply_level and (component_type != "reader" or levels[5].lower() != "success"):
        raise RejectError("bad_topic", "only reader-<N>/success has a sixth level")
    return F2Topic(
        text=topic,
        type=levels[0],
        device_id=device_id_of(levels[1]),
        mode=mode,
        connector=connector,
        connector_number=number,
        component_type=component_type,
        component_id=component_id,
        is_reply_level=is_reply_level,
    )


def _check_shape(topic: str, levels: list[str]) -> None:
    most = _REPLY_LEVELS if levels[0] == "cmnd" else _LEVELS
    if not _LEVELS <= len(levels) <= most:
        raise RejectError("bad_topic", f"{len(levels)} levels")
    if "" in levels:
        raise RejectError("bad_topic", "a level is empty")
    if not topic.isascii():
        raise RejectError("bad_topic", "a level holds other characters than ASCII")


def _connector(level: str) -> tuple[str, int | None]:
    number = _NUMBERED.fullmatch(level)
    if number is not None:
        return f"J{number[1]}", int(number[1])
    if _CONNECTOR.fullmatch(level) is None:
        raise RejectError("bad_topic", "level 4 is no connector")
    return level, None
