"""Telemetry of meters: the usual v2 datagram in one typed pass, everything else exactly.

The fast way takes a datagram only when nothing about it is unusual, and then writes what the exact
way would write; it leaves `out` alone otherwise. `tests/codecs/meter` compares the two.
Source: MTR-022, MTR-030 to MTR-043; performance.md, B3.
"""

from collections.abc import Sequence
from operator import add, le
from typing import Any, NamedTuple, cast
from zlib import crc32

import msgspec

from millrace.codecs.meter.elements import ElementReader
from millrace.codecs.meter.envelope import Arrival, Envelope, read_envelope
from millrace.codecs.meter.options import MeterOptions
from millrace.codecs.meter.placing import place, write
from millrace.codecs.meter.table import Entry, SeriesTable
from millrace.errors import RejectError
from millrace.model import quality
from millrace.model.decoded import Decoded
from millrace.model.instants import YEAR_2000_NS, parse_instant
from millrace.model.message import REDRIVE, REPLAYED
from millrace.model.payload import parse_object, unit_text
from millrace.model.sequence import SEQ_MAX, SequenceFacts
from millrace.model.series import Slots

CATEGORY = "telemetry"

Time = str | int | float | None


class _Measurement(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: str
    val: float
    unit: str | None = None
    ts: str | int | None = None  # no float: 1.0 equals 1, but is rounded to microseconds


class _Datagram(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    measurements: list[_Measurement]
    seq: int | None = None
    ts: Time = None
    device_id: str | None = None
    msg_type: str | None = None
    v: int | None = None


# Unknown members are refused, so what is accepted is three levels deep and needs no depth check.
_read_datagram = msgspec.json.Decoder(_Datagram).decode


class _Shape(NamedTuple):
    """The metrics and units of a datagram in order, and the entries they stand for as columns."""

    types: list[str]
    units: list[str | None]
    slots: tuple[int, ...]
    series: tuple[int, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]


_UNUSUAL = _Shape([], [], (), (), (), ())


class TelemetryPlan:
    """The plan of `iot/{id}/telemetry`."""

    def __init__(self, device_id: str, slots: Slots, options: MeterOptions) -> None:
        self._device_id = device_id
        self._options = options
        self._max_bytes = options.max_payload_bytes
        self._max_elements = min(options.soft_measurements, options.max_measurements)
        self._max_future_ns = options.max_future_ns
        self._table = SeriesTable(device_id, slots)
        self._shape = _UNUSUAL

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write the readings of one datagram."""
        if len(payload) <= self._max_bytes:
            try:
                datagram = _read_datagram(payload)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                pass  # unusual, not yet wrong: the exact way decides
            else:
                if self._write_usual(datagram, received_at_ns, out):
                    if not flags & REDRIVE:
                        self._write_facts(datagram, payload, received_at_ns, flags, out)
                    return
        self.decode_exactly(payload, received_at_ns, flags, out)

    def decode_exactly(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write the readings of one datagram in any form.

        Raises:
            RejectError: The payload is no JSON object (MTR-020).
        """
        body = parse_object(payload, self._max_bytes)
        envelope = read_envelope(body, self._device_id, CATEGORY)
        envelope.facts(Arrival(payload, received_at_ns, flags), out)
        elements = body.get("measurements")
        if elements is not None and type(elements) is not list:
            out.reject("bad_measurements", detail="measurements is not an array")
        elif elements and len(elements) > self._options.max_measurements:
            out.reject("too_many_measurements", detail=f"{len(elements)} elements")
        else:
            self._write_all(body, envelope, received_at_ns, out)

    def _write_all(
        self, body: dict[str, Any], envelope: Envelope, received_at_ns: int, out: Decoded
    ) -> None:
        envelope.announce(received_at_ns, out)
        elements: list[Any] = body.get("measurements") or []
        flags = envelope.flags
        if len(elements) > self._options.soft_measurements:
            flags |= quality.OVERSIZE
            out.event("oversize", self._device_id, received_at_ns, {"count": len(elements)})
        letters = len(out.dead_letters)
        reader = ElementReader(self._table, envelope, received_at_ns, out)
        if elements:
            reader.read_array(elements)
        elif _is_flat(body):
            reader.read_flat(body)
        points = place(reader.points, self._device_id, received_at_ns, self._max_future_ns, out)
        write(points, flags, out)
        if not points and len(out.dead_letters) == letters:
            out.event("empty_message", self._device_id, received_at_ns)

    def _write_usual(self, datagram: _Datagram, received_at_ns: int, out: Decoded) -> bool:
        """Write a datagram about which nothing is unusual; return False, and nothing, otherwise."""
        if not self._is_usual(datagram):
            return False
        elements = datagram.measurements
        shape = self._shape
        types, units = [m.type for m in elements], [m.unit for m in elements]
        if types != shape.types or units != shape.units:
            shape = self._shape_of(types, units)
        texts = [m.ts for m in elements]
        times = _times(texts, datagram.ts)
        if times is None or not shape.slots:
            return False
        values = [m.val for m in elements]
        if not (all(map(le, shape.lows, values)) and all(map(le, values, shape.highs))):
            return False
        instants = times.values()
        if min(instants) < YEAR_2000_NS or max(instants) > received_at_ns + self._max_future_ns:
            return False
        stamps = list(map(times.__getitem__, texts))
        # Equal (series, time) have equal sums; unequal ones rarely do, and the exact way decides.
        if len(set(map(add, shape.series, stamps))) != len(stamps):
            return False
        if len(times) == 1:
            out.readings(shape.slots, stamps[0], values)
        else:
            _write_each(shape.slots, values, stamps, out)
        return True

    def _is_usual(self, datagram: _Datagram) -> bool:
        return (
            (datagram.device_id == self._device_id or datagram.device_id is None)
            and (datagram.msg_type == CATEGORY or datagram.msg_type is None)
            and (datagram.seq is None or 0 <= datagram.seq <= SEQ_MAX)
            and 0 < len(datagram.measurements) <= self._max_elements
        )

    def _shape_of(self, types: list[str], units: list[str | None]) -> _Shape:
        """Return the shape of these columns and keep it: a meter sends the same one each time."""
        known = self._table.known
        entries = [known.get(pair) or self._learn(*pair) for pair in zip(types, units, strict=True)]
        if None in entries:
            return _UNUSUAL
        columns = zip(*cast("list[Entry]", entries), strict=True)
        self._shape = _Shape(types, units, *columns)
        return self._shape

    def _learn(self, metric: str, unit: str | None) -> Entry | None:
        """Return the entry of a pair not met before; None when there is something wrong with it."""
        kept, flag = unit_text(unit)
        if flag:
            return None
        try:
            return self._table.entry(metric, kept)
        except RejectError:
            return None

    def _write_facts(
        self, datagram: _Datagram, payload: bytes, received_at_ns: int, flags: int, out: Decoded
    ) -> None:
        if datagram.seq is None:
            return
        out.facts.append(
            SequenceFacts(
                out.message,
                self._device_id,
                datagram.seq,
                crc32(payload),
                received_at_ns,
                parse_instant(datagram.ts),
                is_live=not flags & REPLAYED,
            )
        )


def _times(texts: list[str | int | None], base: Time) -> dict[str | int | None, int] | None:
    """Return the instant of each distinct time, None standing for that of the message."""
    times = {}
    for text in set(texts):
        time_ns = parse_instant(base if text is None else text)
        if time_ns is None:
            return None
        times[text] = time_ns
    return times


def _write_each(
    slots: Sequence[int], values: Sequence[float], stamps: Sequence[int], out: Decoded
) -> None:
    """Write good readings as runs of one: cheaper than finding longer runs in Python."""
    count = len(slots)
    out.slots += slots
    out.values += values
    out.run_times += stamps
    out.run_counts += [1] * count
    out.run_flags += [0] * count
    out.run_messages += [out.message] * count


def _is_flat(body: dict[str, Any]) -> bool:
    """Say whether a message without elements is in the v1 flat form (MTR-022, MTR-031)."""
    is_v1 = body.get("seq") is None and body.get("msg_type") is None
    return is_v1 or body.get("measurements") is None
