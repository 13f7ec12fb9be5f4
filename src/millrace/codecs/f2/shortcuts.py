"""Plans that take the usual messages on a shorter way.

Each tries the usual form of one kind of message, typed and without looking anywhere else.
Whenever a payload is not exactly of that form, or a series has not been seen before, the general
plan decides: there is one truth, and the tests hold the two against each other.
Source: F2-050, F2-081; the cost of a message is a promise of performance.md.
"""

from math import isfinite
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from millrace.codecs.f2.fields import BUTTON, BUTTON_ID, Fields
from millrace.codecs.f2.findings import MAX_VALUES, Found, Kind
from millrace.codecs.f2.frames import MAX_FRAME_BYTES
from millrace.codecs.f2.instrument import FrameFields, Straight
from millrace.codecs.f2.plan import Target, TelemetryPlan
from millrace.codecs.f2.together import FrameColumns
from millrace.model.codec import SociablePlan
from millrace.model.decoded import Decoded
from millrace.model.instants import DAY_NS, YEAR_2000_NS, parse_instant
from millrace.model.quality import CLOCK

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


class FramePlan(TelemetryPlan, SociablePlan):
    """Frames of an instrument: one typed read, one unpacking, one run of readings.

    `slots` are those of the template's values once all of them are known; from then on usual
    messages may be decoded `together` with those of other controllers, or None.
    """

    __slots__ = ("_straight", "slots", "together")

    def __init__(
        self,
        target: Target,
        fields: FrameFields,
        straight: Straight,
        together: FrameColumns | None = None,
    ) -> None:
        super().__init__(target, fields)
        self._straight = straight
        self.slots: tuple[int, ...] = ()
        self.together = together

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write what the payload says into `out`; see `model.codec.Plan`."""
        target = self.target
        if self.slots and len(payload) <= target.max_payload_bytes:
            cut, end, is_whole, _ = self._straight
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
                    time_ns = parse_instant(message.timestamp, target.zone)
                    if time_ns is None or not YEAR_2000_NS <= time_ns <= received_at_ns + DAY_NS:
                        time_ns, quality = received_at_ns, target.flags | CLOCK
                    else:
                        quality = target.flags
                    out.readings(self.slots, time_ns, values, quality)
                    return
        super().decode(payload, received_at_ns, flags, out)
        if not self.slots:
            self._prepare()

    def _prepare(self) -> None:
        keys = [
            (named.point.label, named.channel, named.unit, named.point.id)
            for named in self._straight.points
        ]
        if len(keys) <= MAX_VALUES and all(key in self._cache for key in keys):
            self.slots = tuple(self._cache[key] for key in keys)
            self._cache.clear()


class StatusPlan(TelemetryPlan):
    """One truth value in `status`."""

    __slots__ = ("_flags", "_key", "_max_bytes", "_slot", "_zone")

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
