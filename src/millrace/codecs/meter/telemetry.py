"""Telemetry of meters, in any form: one datagram, element by element.

Usual datagrams are decoded many at a time, see `together`; here is the one truth about all others.
Source: MTR-022, MTR-030 to MTR-043.
"""

from typing import Any

from millrace.codecs.meter.elements import ElementReader
from millrace.codecs.meter.envelope import Arrival, Envelope, read_envelope
from millrace.codecs.meter.options import MeterOptions
from millrace.codecs.meter.placing import place, write
from millrace.codecs.meter.table import SeriesTable
from millrace.codecs.meter.together import CATEGORY, DatagramColumns, Member
from millrace.model import quality
from millrace.model.codec import SociablePlan
from millrace.model.decoded import Decoded
from millrace.model.payload import parse_object
from millrace.model.series import Slots


class TelemetryPlan(SociablePlan):
    """The plan of `iot/{id}/telemetry`."""

    __slots__ = ("_device_id", "_max_bytes", "_options", "_table", "member", "together")

    def __init__(
        self, device_id: str, slots: Slots, options: MeterOptions, together: DatagramColumns
    ) -> None:
        self._device_id = device_id
        self._options = options
        self._max_bytes = options.max_payload_bytes
        self._table = SeriesTable(device_id, slots)
        self.together = together
        self.member = Member(device_id, self._table)

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
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
        points = place(
            reader.points, self._device_id, received_at_ns, self._options.max_future_ns, out
        )
        write(points, flags, out)
        if not points and len(out.dead_letters) == letters:
            out.event("empty_message", self._device_id, received_at_ns)


def _is_flat(body: dict[str, Any]) -> bool:
    """Say whether a message without elements is in the v1 flat form (MTR-022, MTR-031)."""
    is_v1 = body.get("seq") is None and body.get("msg_type") is None
    return is_v1 or body.get("measurements") is None
