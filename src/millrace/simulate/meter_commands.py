"""What a meter makes of a command: is it meant for us, is it genuine, is it possible.

Pure: the meter does what comes out of here.
Source: MTR-100, MTR-107, MTR-113.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

SEMVER_CHARS: Final = 50
URL_CHARS: Final = 2048
FIRMWARE_BYTES_MAX: Final = 1_073_741_824

_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[\w.-]+)?")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_CONFIG: Final = {
    "sampling_cadence_ms": (100, 60_000),
    "send_interval_s": (1, 3600),
    "hello_interval_s": (5, 3600),
}
_SIGNED: Final = ("cmd", "cmd_id", "params", "ts", "v")


class Verdict(NamedTuple):
    """The answer to a command: one of the results of `command_ack`, with a detail or without."""

    result: str
    detail: str = ""


class Command(NamedTuple):
    """A command as it was received."""

    cmd_id: str
    name: Any
    params: Any
    body: Mapping[str, Any]


ACCEPTED: Final = Verdict("accepted")


def read_command(payload: bytes) -> Command | None:
    """Return the command in a message, None when it cannot even be answered."""
    try:
        body = json.loads(payload)
    except ValueError:
        return None
    if not isinstance(body, dict) or not isinstance(body.get("cmd_id"), str):
        return None
    return Command(body["cmd_id"], body.get("cmd"), body.get("params", {}), body)


def judge(command: Command, key: bytes | None) -> Verdict:
    """Return what a meter answers; `key` None: it knows none and checks no signature."""
    if key is not None and not _is_genuine(command.body, key):
        return Verdict("rejected", "bad_signature")
    check = _CHECKS.get(command.name) if isinstance(command.name, str) else None
    if check is None:
        return Verdict("unsupported", f"no command {command.name}"[:100])
    if not isinstance(command.params, dict):
        return Verdict("rejected", "params")
    return check(command.params)


def signature(body: Mapping[str, Any], key: bytes) -> str:
    """Return `sig` of a command. Source: MTR-107."""
    signed = {name: body[name] for name in _SIGNED if name in body}
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _is_genuine(body: Mapping[str, Any], key: bytes) -> bool:
    sig = body.get("sig")
    return isinstance(sig, str) and hmac.compare_digest(
        signature(body, key).encode(), sig.encode("utf-8", "surrogatepass")
    )


def _nothing(params: Mapping[str, Any]) -> Verdict:
    return Verdict("rejected", _listed(params)) if params else ACCEPTED


def _config(params: Mapping[str, Any]) -> Verdict:
    """Judge new intervals. Other brokers are beyond a simulated meter, and it says so."""
    if "brokers" in params:
        return Verdict("unsupported", "brokers")
    wrong = [
        name
        for name, value in params.items()
        if name not in _CONFIG or not _is_between(value, *_CONFIG[name])
    ]
    return Verdict("rejected", _listed(wrong)) if wrong or not params else ACCEPTED


def _update(params: Mapping[str, Any]) -> Verdict:
    wrong = [name for name, is_good in _UPDATE.items() if not is_good(params.get(name))]
    wrong += [name for name in params if name not in _UPDATE]
    return Verdict("rejected", _listed(wrong)) if wrong else ACCEPTED


def _listed(names: Any) -> str:
    return "params: " + ", ".join(map(str, names))[:200]


def _is_between(value: Any, low: int, high: int) -> bool:
    # bool is an int in Python, never a number of seconds
    return type(value) is int and low <= value <= high


def _is_version(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= SEMVER_CHARS and bool(_SEMVER.fullmatch(value))


def _is_source(value: Any) -> bool:
    """Return whether firmware may come from there: https, or plain from this very machine."""
    if not isinstance(value, str) or len(value) > URL_CHARS:
        return False
    try:
        parts = urlsplit(value)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    return has_host and is_safe and parts.username is None


_UPDATE: Final[dict[str, Callable[[Any], bool]]] = {
    "fw_version": _is_version,
    "fw_url": _is_source,
    "fw_sha256": lambda value: isinstance(value, str) and bool(_SHA256.fullmatch(value)),
    "fw_size_bytes": lambda value: _is_between(value, 1, FIRMWARE_BYTES_MAX),
}
_CHECKS: Final[dict[str, Callable[[Mapping[str, Any]], Verdict]]] = {
    "factory_reset": _nothing,
    "reboot": _nothing,
    "request_status": _nothing,
    "start_ota": _update,
    "update_config": _config,
}
