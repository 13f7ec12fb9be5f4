"""How devices write instants, with a right clock and with wrong ones.

Source: F2-031, F2-171; MTR-035; sensors.md SNS-010.
"""

from datetime import UTC, datetime
from enum import Enum
from typing import Final
from zoneinfo import ZoneInfo

from millrace.model.instants import SECOND_NS

HOURS_OFF_NS: Final = 7 * 3600 * SECOND_NS


class ClockFault(Enum):
    """What is wrong with a clock."""

    NONE = "none"
    UNSET = "unset"  # counts from 1970 since power-on
    MILLIS = "millis"  # a number of milliseconds where something else is usual
    HOURS_OFF = "hours_off"  # local time sold as UTC


class Form(Enum):
    """How an instant is written: text with these fractions, or epoch seconds."""

    ZULU_MS = "zulu_ms"
    BLANK_US = "blank_us"
    T_US = "t_us"
    EPOCH = "epoch"


class Stamps:
    """Writes instants as JSON, in one form. `fault` may change from message to message."""

    __slots__ = ("_cut", "_form", "_prefix", "_second", "_zone", "booted_ns", "fault")

    def __init__(self, form: Form, booted_ns: int, zone: ZoneInfo | None = None) -> None:
        self._form = form
        self._zone = zone or UTC
        self._cut = " " if form is Form.BLANK_US else "T"
        self._second = -1
        self._prefix = ""
        self.booted_ns = booted_ns
        self.fault = ClockFault.NONE

    def json(self, at_ns: int) -> str:
        """Return the instant as the device writes it, as JSON."""
        if self.fault is not ClockFault.NONE:
            if self.fault is ClockFault.MILLIS:
                return str(at_ns // 1_000_000)
            at_ns = self._wrong(at_ns)
        second, fraction = divmod(at_ns, SECOND_NS)
        if self._form is Form.EPOCH:
            return f"{second}.{fraction // 1000:06d}"
        if second != self._second:
            self._second = second
            self._prefix = self._text(second)
        if self._form is Form.ZULU_MS:
            return f'"{self._prefix}.{fraction // 1_000_000:03d}Z"'
        return f'"{self._prefix}.{fraction // 1000:06d}"'

    def _wrong(self, at_ns: int) -> int:
        if self.fault is ClockFault.UNSET:
            return max(0, at_ns - self.booted_ns)
        return at_ns + HOURS_OFF_NS

    def _text(self, second: int) -> str:
        """Return date and time of a whole second, on the wall where the device hangs."""
        wall = datetime.fromtimestamp(second, self._zone)
        return wall.replace(tzinfo=None).isoformat(self._cut, "seconds")
