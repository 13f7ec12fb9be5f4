"""Events and dead letters: what a message says without a number, and what it failed to say."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Event:
    """A fact without a number to plot: hello, scan, sequence gap, command seen on the wire.

    `data` are the members that the spec of the family lists for this `type`, JSON values only.
    `flags` are quality flags. `message` is the index in the work of the message that caused it.
    Source: D-54, F2-112, meter.md section 10.
    """

    type: str
    device_id: str
    time_ns: int
    data: dict[str, Any] = field(default_factory=dict)
    flags: int = 0
    message: int = -1


@dataclass(slots=True)
class DeadLetter:
    """One element of a message (`''` is the whole message) that could not become a reading.

    The original bytes are those of message number `message` of the work.
    Source: F2-111, MTR-038, REG-042.
    """

    reason: str
    element: str = ""
    index: int | None = None
    detail: str = ""
    message: int = -1


@dataclass(slots=True)
class Report:
    """What a message says about its device itself, for those who keep device state.

    `kind` is one of `device` (device_type, location), `hello` (fw_version, uptime_s, and
    registered_fw: what the registry has), `status`
    (status), `ack` (cmd_id, result, detail), `ota` (cmd_id, ota_state, progress_pct, ...).
    """

    kind: str
    device_id: str
    data: dict[str, Any]
    message: int = -1
