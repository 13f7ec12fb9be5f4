"""Plans: one topic of one controller, compiled.

The general plan reads any payload. Three faster ones try the usual form of the usual messages
first, typed and without looking anywhere else; whenever a payload is not exactly of that form,
they hand it to the general plan, so that there is one truth.
Source: F2-008, F2-020 to F2-027, F2-034, F2-040 to F2-042.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, UnsetType

from millrace.codecs.f2.components import COUNT_UNIT
from millrace.codecs.f2.fields import BUTTON, BUTTON_ID, Fields, is_reserved
from millrace.codecs.f2.findings import MAX_VALUES, Findings, Found, Kind
from millrace.codecs.f2.frames import MAX_FRAME_BYTES
from millrace.codecs.f2.instrument import FrameFields, Straight
from millrace.errors import RejectError
from millrace.model.decoded import Decoded
from millrace.model.documents import read_json, read_text
from millrace.model.instants import BLANKS, DAY_NS, YEAR_2000_NS, parse_instant
from millrace.model.quality import CLOCK
from millrace.model.series import Slots

Stamp = str | int | float | UnsetType
Counter = Annotated[int, msgspec.Meta(ge=0)] | UnsetType


class FrameMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The usual message of an RS-485 instrument."""

    data: str
    timestamp: Stamp = UNSET
    seq: Counter = UNSET


class StatusMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The usual message of a strike, siren or motion sensor."""

    status: bool
    timestamp: Stamp = UNSET
    seq: Counter = UNSET


_TRUTH = {True: 1.0, False: 0.0}  # 1 and 0 are equal to them, and mean the same
_CONDITIONAL = frozenset({BUTTON, BUTTON_ID, "seq"})

_NO_FRAME = FrameMessage("")

_read_frame = msgspec.json.Decoder(FrameMessage).decode
_read_status = msgspec.json.Decoder(StatusMessage).decode
_read_object = msgspec.json.Decoder(dict[str, Any]).decode


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


class FramePlan(TelemetryPlan):
    """Frames of an instrument: one typed read, one unpacking, one run of readings."""

    def __init__(self, target: Target, fields: FrameFields, straight: Straight) -> None:
        super().__init__(target, fields)
        self._straight = straight
        self._short: tuple[Any, ...] | None = None

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write what the payload says into `out`; see `model.codec.Plan`."""
        if self._short is not None:
            cut, end, is_whole, slots, quality, zone, max_bytes = self._short
            if len(payload) <= max_bytes:
                try:
                    message = _read_frame(payload)
                    data = message.data
                    frame = bytes.fromhex(data)
                except (ValueError, RecursionError):
                    message, data, frame = _NO_FRAME, "", b""
                size = len(frame)
                blanks = len(data) - size - size
                # fromhex also skips line breaks, which are no separators for F2-090
                if end <= size <= MAX_FRAME_BYTES and blanks == data.count(" "):
                    values = cut(frame)
                    if is_whole or isfinite(sum(values)):
                        time_ns = parse_instant(message.timestamp, zone)
                        if (
                            time_ns is None
                            or time_ns < YEAR_2000_NS
                            or time_ns > received_at_ns + DAY_NS
                        ):
                            out.readings(slots, received_at_ns, values, quality | CLOCK)
                        else:
                            out.readings(slots, time_ns, values, quality)
                        return
        super().decode(payload, received_at_ns, flags, out)
        if self._short is None:
            self._prepare()

    def _prepare(self) -> None:
        straight, target = self._straight, self.target
        keys = [
            (named.point.label, named.channel, named.unit, named.point.id)
            for named in straight.points
        ]
        if len(keys) <= MAX_VALUES and all(key in self._cache for key in keys):
            self._short = (
                straight.cut,
                straight.end,
                straight.is_whole,
                tuple(self._cache[key] for key in keys),
                target.flags,
                target.zone,
                target.max_payload_bytes,
            )


class StatusPlan(TelemetryPlan):
    """One truth value in `status`."""

    def __init__(self, target: Target, fields: Fields, metric: str, unit: str) -> None:
        super().__init__(target, fields)
        self._key = (metric, "", unit, None)
        self._slot = -1
        self._max_bytes = target.max_payload_bytes
        self._zone = target.zone
        self._flags = target.flags

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write what the payload says into `out`; see `model.codec.Plan`."""
        if self._slot >= 0 and len(payload) <= self._max_bytes:
            try:
                message = _read_status(payload)
            except (ValueError, RecursionError):
                pass
            else:
                value = 1.0 if message.status else 0.0
                time_ns = parse_instant(message.timestamp, self._zone)
                if time_ns is None or not YEAR_2000_NS <= time_ns <= received_at_ns + DAY_NS:
                    out.reading(self._slot, received_at_ns, value, self._flags | CLOCK)
                else:
                    out.reading(self._slot, time_ns, value, self._flags)
                return
        super().decode(payload, received_at_ns, flags, out)
        if self._slot < 0:
            self._slot = self._cache.get(self._key, -1)


class MapPlan(TelemetryPlan):
    """A boolean map whose keys have all been seen before and stand for themselves."""

    def __init__(self, target: Target, fields: Fields, metric: str, unit: str) -> None:
        super().__init__(target, fields)
        self._metric = metric
        self._unit = unit
        self._known: dict[str, int] = {}

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write what the payload says into `out`; see `model.codec.Plan`."""
        if not self._known or not self._decode_known(payload, received_at_ns, out):
            message = self.read(payload, received_at_ns)
            self.write(message, out)
            self._learn(message.findings.found)

    def _decode_known(self, payload: bytes, received_at_ns: int, out: Decoded) -> bool:
        if len(payload) > self.target.max_payload_bytes:
            return False
        try:
            members = _read_object(payload)
        except (ValueError, RecursionError):
            return False
        stamp = members.pop("timestamp", "")
        if type(stamp) is not str or not 0 < len(members) <= MAX_VALUES:
            return False
        known = self._known
        try:
            slots = [known[key] for key in members]
            values = [_TRUTH[value] for value in members.values()]
        except (KeyError, TypeError):
            return False
        time_ns = parse_instant(stamp, self.target.zone)
        if time_ns is None or not YEAR_2000_NS <= time_ns <= received_at_ns + DAY_NS:
            out.readings(slots, received_at_ns, values, self.target.flags | CLOCK)
        else:
            out.readings(slots, time_ns, values, self.target.flags)
        return True

    def _learn(self, found: list[Found]) -> None:
        for value in found:
            slot = self._cache.get((self._metric, value.channel, self._unit, None))
            # what a key means may depend on its value or its neighbours: not for a short cut
            is_plain = value.element == value.channel and value.element not in _CONDITIONAL
            if slot is not None and value.kind is Kind.TRUTH and is_plain:
                self._known[value.channel] = slot
