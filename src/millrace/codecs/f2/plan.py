"""Plans: one topic of one controller, compiled.

The plan here reads any payload; `shortcuts` has faster ones for the usual messages.
Source: F2-020 to F2-027, F2-034, F2-040 to F2-042.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from millrace.codecs.f2.components import COUNT_UNIT
from millrace.codecs.f2.fields import Fields, is_reserved
from millrace.codecs.f2.findings import Findings, Found, Kind
from millrace.errors import RejectError
from millrace.model.decoded import Decoded
from millrace.model.documents import read_json, read_text
from millrace.model.instants import BLANKS, DAY_NS, YEAR_2000_NS, parse_instant
from millrace.model.quality import CLOCK
from millrace.model.series import Slots


@dataclass(frozen=True, slots=True)
class Target:
    """Whose readings a plan gives: device, attributes of its series, and where to ask for slots.

    `flags` are those that the topic itself earns (F2-007).
    """

    device_id: str
    attributes: Mapping[str, Any]
    slots: Slots
    flags: int = 0
    zone: ZoneInfo | None = None
    max_payload_bytes: int = 262_144


@dataclass(slots=True)
class Message:
    """A payload as it was understood.

    Units: `time_ns` UTC nanoseconds. `flags` hold for every value. `seq` is None when absent.
    `device_time` is the claimed time when it was not believed; `has_device_time` tells null
    from absent.
    """

    time_ns: int
    flags: int
    findings: Findings
    seq: int | None = None
    device_time: Any = None
    has_device_time: bool = False


def parse_payload(payload: bytes) -> Any:
    """Return the value of a payload: JSON, or a text for what is no JSON.

    Raises:
        RejectError: `empty_payload`, `not_utf8`, `bad_json`.
    Source: F2-020.
    """
    if not payload:
        raise RejectError("empty_payload", "no bytes")
    try:
        return read_json(payload)
    except RejectError as problem:
        if problem.reason != "bad_json":
            raise
        text = read_text(payload).strip(BLANKS)
        if text.startswith(("{", "[")):
            raise
        return text


class TelemetryPlan:
    """The general plan."""

    __slots__ = ("_cache", "fields", "target")

    def __init__(self, target: Target, fields: Fields) -> None:
        self.target = target
        self.fields = fields
        self._cache: dict[tuple[str, str, str, int | None], int] = {}

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write what the payload says into `out`; see `model.codec.Plan`."""
        del flags
        self.write(self.read(payload, received_at_ns), out)

    def read(self, payload: bytes, received_at_ns: int) -> Message:
        """Return what the payload says.

        Raises:
            RejectError: The message as a whole is bad.
        """
        if len(payload) > self.target.max_payload_bytes:
            raise RejectError("too_large", f"{len(payload)} bytes")
        value = parse_payload(payload)
        findings = Findings()
        self.fields.collect(value, findings)
        if not findings.found and not findings.letters:
            raise RejectError("no_value", "nothing in the payload is a value")
        return self._stamp(value, received_at_ns, findings)

    def understand(self, payload: bytes, received_at_ns: int) -> "Understood | None":
        """Return what `decode` would write, with the plan that says whose it is.

        Raises:
            RejectError: The message as a whole is bad.
        """
        return Understood(self, self.read(payload, received_at_ns))

    def write(self, message: Message, out: Decoded) -> None:
        """Turn a message into readings, events and dead letters."""
        for found in message.findings.found:
            flags = message.flags | found.flags
            if found.kind is not Kind.REPLY:
                self._write_reading(found, message.time_ns, flags, out)
            if type(found.value) is str:
                self._write_event(found, message.time_ns, flags, out)
        for letter in message.findings.letters:
            out.reject(letter.reason, letter.element, detail=letter.detail)

    def slot(self, metric: str, channel: str, unit: str, point: int | None = None) -> int:
        """Return the slot of a series, asking the book only once.

        Raises:
            RejectError: `cardinality`.
        """
        key = (metric, channel, unit, point)
        slot = self._cache.get(key)
        if slot is None:
            target = self.target
            attributes = dict(target.attributes)
            if point is not None:
                attributes["data_point_id"] = point
            slot = target.slots.slot(
                target.device_id, metric, channel, unit=unit, attributes=attributes
            )
            self._cache[key] = slot
        return slot

    def _stamp(self, value: Any, received_at_ns: int, findings: Findings) -> Message:
        flags = self.target.flags
        is_object = type(value) is dict
        stamp = value.get("timestamp") if is_object else None
        time_ns = parse_instant(stamp, self.target.zone)
        if time_ns is not None and YEAR_2000_NS <= time_ns <= received_at_ns + DAY_NS:
            message = Message(time_ns, flags, findings)
        else:
            message = Message(received_at_ns, flags | CLOCK, findings)
            message.device_time = stamp
            message.has_device_time = is_object and "timestamp" in value
        if is_object and is_reserved("seq", value.get("seq")):
            message.seq = value["seq"]
        return message

    def _write_reading(self, found: Found, time_ns: int, flags: int, out: Decoded) -> None:
        if type(found.value) is str:
            value, unit = 1.0, COUNT_UNIT
        else:
            value, unit = float(found.value), found.unit
        try:
            slot = self.slot(found.metric, found.channel, unit, found.point)
        except RejectError as problem:
            out.reject(problem.reason, found.element, detail=problem.detail)
        else:
            out.reading(slot, time_ns, value, flags)

    def _write_event(self, found: Found, time_ns: int, flags: int, out: Decoded) -> None:
        data: dict[str, Any] = {"metric": found.metric, "channel": found.channel}
        data["text"] = found.value
        if found.raw is not None:
            data["raw"] = found.raw
        if found.detail is not None:
            data["detail"] = found.detail
        out.event(found.kind.value, self.target.device_id, time_ns, data, flags=flags)


class Understood(NamedTuple):
    """A message, and the plan that understood it."""

    plan: TelemetryPlan
    message: Message
