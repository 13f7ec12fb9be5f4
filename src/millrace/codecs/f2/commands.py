"""Commands: what can be sent to a controller, and what of it is seen on the wire.

Source: f2.md section 13 (F2-150, F2-151), F2-113.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from millrace.codecs.f2.components import COMPONENTS
from millrace.codecs.f2.topics import F2Topic, component_of, device_id_of
from millrace.errors import RejectError

COMMANDS: Final = ("strike", "siren", "reader_indicator", "report")
LONG_PERIOD_S: Final = 120

_MAX_PERIOD_S: Final = 255
_MAX_POWER_FLAG: Final = 2
_TIMED: Final = 2
_CODES: Final = {"1": 1, "2": 2, "3": 3}
_SWITCH: Final = {"0": False, "1": True}
_TARGETS: Final = {
    "strike": ("strike",),
    "siren": ("siren",),
    "reader_indicator": ("reader",),
    "report": ("strike", "siren"),
}


@dataclass(frozen=True, slots=True)
class F2Command:
    """A command ready to publish, at QoS 1 and not retained. `warnings` are for the caller."""

    topic: str
    payload: bytes
    warnings: tuple[str, ...] = ()


def build_command(
    command: str, device: str, connector: str, component: str, arguments: Mapping[str, Any]
) -> F2Command:
    """Return topic and payload of a command.

    Units: `period` in seconds.
    Raises:
        RejectError: `invalid_params`; `element` names the field, the detail its range.
    Source: F2-150, F2-151.
    """
    if command not in COMMANDS:
        _refuse("command", f"one of {', '.join(COMMANDS)}")
    try:
        device_id = device_id_of(device)
    except RejectError:
        _refuse("device", "an F2 controller")
    if connector not in ("J1", "J2", "J3", "J4", "J5"):
        _refuse("connector", "J1 to J5")
    mode = _mode_of(command, component)
    topic = f"cmnd/{device_id}/{mode}/{connector}/{component}"
    if command == "strike":
        return _strike(topic, arguments)
    if command == "siren":
        _check_names(arguments, ("on",))
        if type(arguments.get("on")) is not bool:
            _refuse("on", "true or false")
        return F2Command(topic, b"1" if arguments["on"] else b"0")
    if command == "reader_indicator":
        _check_names(arguments, ("code",))
        code = _whole(arguments, "code", 1, 3)
        return F2Command(f"{topic}/success", str(code).encode())
    _check_names(arguments, ())
    return F2Command(topic, b"")


def seen_command(topic: F2Topic, payload: bytes) -> dict[str, Any]:
    """Return the detail of the event for a message that is a command on the wire.

    Source: F2-113.
    """
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return {
            "command": "other",
            "payload": {"base64": base64.b64encode(payload).decode("ascii")},
        }
    known = _exact(topic, text) if topic.is_usual else None
    return known or {"command": "other", "payload": text}


def _exact(topic: F2Topic, text: str) -> dict[str, Any] | None:
    kind = topic.component_type
    if topic.is_reply_level:
        code = _CODES.get(text)
        return {"command": "reader_indicator", "code": code} if code else None
    if kind not in ("strike", "siren"):
        return None
    if not text:
        return {"command": "report"}
    if kind == "siren":
        is_on = _SWITCH.get(text)
        return None if is_on is None else {"command": "siren", "on": is_on}
    return _exact_strike(text)


def _exact_strike(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if type(value) is not dict or not value.keys() <= {"power-flag", "period", "timestamp"}:
        return None
    arguments = {"power_flag": value.get("power-flag")}
    if "period" in value:
        arguments["period"] = value["period"]
    try:
        _strike("", arguments)
    except RejectError:
        return None
    return {
        "command": "strike",
        "power_flag": arguments["power_flag"],
        "period": arguments.get("period"),
    }


def _strike(topic: str, arguments: Mapping[str, Any]) -> F2Command:
    _check_names(arguments, ("power_flag", "period"))
    flag = _whole(arguments, "power_flag", 0, _MAX_POWER_FLAG)
    body = {"power-flag": flag}
    warnings: tuple[str, ...] = ()
    if flag == _TIMED or "period" in arguments:
        period = _whole(arguments, "period", 0, _MAX_PERIOD_S)
        body["period"] = period
        if period > LONG_PERIOD_S:
            warnings = ("long_period",)
    return F2Command(topic, json.dumps(body).encode(), warnings)


def _mode_of(command: str, component: str) -> str:
    try:
        kind, number = component_of(component)
    except RejectError:
        kind, number = "", None
    targets = _TARGETS[command]
    if kind not in targets or number not in ("1", "2") or component != f"{kind}-{number}":
        _refuse("component", " or ".join(f"{name}-1, {name}-2" for name in targets))
    return COMPONENTS[kind].mode


def _whole(arguments: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = arguments.get(name)
    if type(value) is not int or not low <= value <= high:
        _refuse(name, f"an integer from {low} to {high}")
    return value


def _check_names(arguments: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in arguments:
        if name not in known:
            _refuse(name, "no argument of this command")


def _refuse(name: str, rule: str) -> NoReturn:
    raise RejectError("invalid_params", f"{name}: {rule}", element=name)
