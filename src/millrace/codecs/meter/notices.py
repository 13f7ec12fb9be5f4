"""What meters say beside telemetry: hello, status, command acks, OTA progress.

What these mean for the device is decided elsewhere, from the reports; here they are read and
checked. A field that is null counts as absent.
Source: MTR-060 to MTR-063.
"""

from typing import Any

from millrace.codecs.meter.envelope import Arrival, Envelope, read_envelope
from millrace.codecs.meter.options import MeterOptions
from millrace.codecs.meter.placing import Point, write
from millrace.codecs.meter.table import SeriesTable
from millrace.errors import RejectError
from millrace.model import quality
from millrace.model.decoded import Decoded
from millrace.model.payload import is_timely, number, parse_object
from millrace.model.series import Slots

STATUSES = frozenset({"online", "offline"})
ACK_RESULTS = frozenset({"accepted", "rejected", "error", "unsupported"})
OTA_STATES = frozenset({"downloading", "verifying", "applying", "success", "failed"})
MAX_VERSION_CHARS = 50
MAX_PROGRESS = 100


class HelloPlan:
    """The plan of `iot/{id}/hello`: four readings about the device, and its firmware version.

    `registered_fw` is the version that the registry has; the report hands it on.
    """

    def __init__(
        self, device_id: str, slots: Slots, options: MeterOptions, registered_fw: str | None = None
    ) -> None:
        self._device_id = device_id
        self._registered_fw = registered_fw
        self._options = options
        self._table = SeriesTable(device_id, slots)

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write the readings of a hello and report what it says of the device.

        Raises:
            RejectError: The payload is no JSON object (MTR-020).
        """
        body = parse_object(payload, self._options.max_payload_bytes)
        envelope = read_envelope(body, self._device_id, "hello")
        envelope.announce(received_at_ns, out)
        found = _fields(body, out)
        stamp = self._stamp(envelope, received_at_ns)
        points: list[Point] = []
        for name, unit in _HELLO_UNITS.items():
            if name in found:
                self._add(points, name, unit, found[name], stamp, out)
        write(points, envelope.flags, out)
        arrival = Arrival(payload, received_at_ns, flags)
        uptime_s, fw_version = found.get("uptime_s"), found.get("fw_version")
        envelope.facts(arrival, out, is_hello=True, uptime_s=uptime_s, fw_version=fw_version)
        said: dict[str, Any] = {
            name: found[name] for name in ("fw_version", "uptime_s") if name in found
        }
        if fw_version is not None:
            said["registered_fw"] = self._registered_fw
        out.report("hello", self._device_id, said)

    def _stamp(self, envelope: Envelope, received_at_ns: int) -> tuple[int, int]:
        time_ns = envelope.time_ns
        if time_ns is None or not is_timely(time_ns, received_at_ns, self._options.max_future_ns):
            return received_at_ns, quality.CLOCK
        return time_ns, 0

    def _add(
        self,
        points: list[Point],
        name: str,
        unit: str | None,
        value: float,
        stamp: tuple[int, int],
        out: Decoded,
    ) -> None:
        try:
            entry = self._table.entry(f"meta_{name}", unit)
        except RejectError as error:
            out.reject(error.reason, name, None, error.detail)
            return
        time_ns, flags = stamp
        if not entry.low <= value <= entry.high:
            flags |= quality.RANGE
        points.append(Point(entry, time_ns, value, flags, name, None))


class StatusPlan:
    """The plan of `iot/{id}/status`: `online` or `offline`, and no reading."""

    def __init__(self, device_id: str, slots: Slots, options: MeterOptions) -> None:
        self._device_id = device_id
        self._max_bytes = options.max_payload_bytes

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Report a status; an empty payload only clears the retained message (MTR-061).

        Raises:
            RejectError: The payload is no JSON object (MTR-020).
        """
        if not payload:
            out.event("retained_cleared", self._device_id, received_at_ns)
            return
        body = parse_object(payload, self._max_bytes)
        envelope = read_envelope(body, self._device_id, "status")
        status = _word(body, "status", STATUSES)
        envelope.facts(Arrival(payload, received_at_ns, flags), out, status=status)
        if status is None:
            out.reject("bad_status", detail="status is neither online nor offline")
            return
        envelope.announce(received_at_ns, out)
        out.report("status", self._device_id, {"status": status})


class AckPlan:
    """The plan of `iot/{id}/command/ack`."""

    def __init__(self, device_id: str, slots: Slots, options: MeterOptions) -> None:
        self._device_id = device_id
        self._max_bytes = options.max_payload_bytes

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Report the answer to a command.

        Raises:
            RejectError: The payload is no JSON object (MTR-020).
        """
        body = parse_object(payload, self._max_bytes)
        envelope = read_envelope(body, self._device_id, "command_ack")
        envelope.facts(Arrival(payload, received_at_ns, flags), out)
        cmd_id, result = _text(body, "cmd_id"), _word(body, "result", ACK_RESULTS)
        if cmd_id is None or result is None:
            out.reject("bad_ack", detail="cmd_id is not text, or the result is unknown")
            return
        envelope.announce(received_at_ns, out)
        said = {"cmd_id": cmd_id, "result": result, "detail": _text(body, "detail")}
        out.report("ack", self._device_id, said)


class OtaPlan:
    """The plan of `iot/{id}/ota/status`."""

    def __init__(self, device_id: str, slots: Slots, options: MeterOptions) -> None:
        self._device_id = device_id
        self._max_bytes = options.max_payload_bytes

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Report the progress of a firmware update.

        Raises:
            RejectError: The payload is no JSON object (MTR-020).
        """
        body = parse_object(payload, self._max_bytes)
        envelope = read_envelope(body, self._device_id, "ota_status")
        envelope.facts(Arrival(payload, received_at_ns, flags), out)
        cmd_id, state = _text(body, "cmd_id"), _word(body, "ota_state", OTA_STATES)
        if cmd_id is None or state is None:
            out.reject("bad_ota", detail="cmd_id is not text, or the state is unknown")
            return
        envelope.announce(received_at_ns, out)
        said = {
            "cmd_id": cmd_id,
            "ota_state": state,
            "progress_pct": _progress(body.get("progress_pct"), out),
            "fw_version_target": _text(body, "fw_version_target"),
            "detail": _text(body, "detail"),
        }
        out.report("ota", self._device_id, said)


_HELLO_UNITS = {
    "uptime_s": "s",
    "broker_connections": None,
    "buf_usage_pct": "%",
    "temp_internal": "Cel",
}


def _fields(body: dict[str, Any], out: Decoded) -> dict[str, Any]:
    """Return the good fields of a hello; each bad one is a letter of its own."""
    found = {}
    for name, read in _HELLO_FIELDS.items():
        value = body.get(name)
        if value is None:
            continue
        try:
            found[name] = read(value)
        except RejectError as error:
            out.reject(error.reason, name, None, error.detail)
    return found


def _version(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MAX_VERSION_CHARS or not value.isprintable():
        raise RejectError("bad_value", "a version is a short text")
    return value


def _count(value: Any) -> float:
    result = _measure(value)
    if result < 0 or not result.is_integer():
        raise RejectError("bad_value", "not a whole number from 0 on")
    return result


def _measure(value: Any) -> float:
    if type(value) is bool:
        raise RejectError("bad_value", "not a number")
    return number(value)


_HELLO_FIELDS = {
    "fw_version": _version,
    "uptime_s": _count,
    "broker_connections": _count,
    "buf_usage_pct": _measure,
    "temp_internal": _measure,
}


def _progress(value: Any, out: Decoded) -> int | None:
    if value is None:
        return None
    try:
        result = _count(value)
    except RejectError as error:
        out.reject("bad_value", "progress_pct", None, error.detail)
        return None
    if result > MAX_PROGRESS:
        out.reject("bad_value", "progress_pct", None, "more than 100 percent")
        return None
    return int(result)


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    return value if type(value) is str else None


def _word(body: dict[str, Any], name: str, words: frozenset[str]) -> str | None:
    value = _text(body, name)
    return value if value in words else None
