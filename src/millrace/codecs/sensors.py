"""The sensors family: small wireless sensors that say what they are and where they stand.

Parts of a message are independent: a field, `data` or `metadata` may be bad alone. Readings
remember `device_type` and `location` of their message as attributes.
Source: sensors.md sections 1 to 3.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

from millrace.errors import RejectError
from millrace.model import quality
from millrace.model.codec import Address, Plan
from millrace.model.decoded import Decoded
from millrace.model.device import DeviceProfile
from millrace.model.instants import format_instant, parse_instant
from millrace.model.payload import (
    MAX_ELEMENT_CHARS,
    device_id_of,
    foreign_id,
    is_timely,
    metric_name,
    number,
    parse_object,
)
from millrace.model.series import Slots
from millrace.model.units import SENSOR_METRICS, Metric

FAMILY = "sensors"
CATEGORY = "sensor"
KINDS = frozenset({"temperature", "humidity", "motion", "gps"})
MAX_TYPE_CHARS = 50
MAX_LOCATION_CHARS = 100

_KIND = re.compile(r"[a-z0-9_-]{1,32}")
_LEVELS = 3

Entry = tuple[int, float, float]


@dataclass(frozen=True, slots=True)
class SensorsOptions:
    """Limits of one message."""

    max_payload_bytes: int = 2_097_152
    max_future_s: int = 600


class SensorsCodec:
    """The device family `sensors`."""

    family = FAMILY

    def __init__(self, options: SensorsOptions | None = None) -> None:
        self._options = options or SensorsOptions()

    def address(self, topic: str) -> Address | None:
        """Return whose message `sensors/<kind>/<device id>` carries; None for other topics.

        Raises:
            RejectError: `bad_topic` for another depth or a kind of another form (SNS-001,
                SNS-002), `bad_device_id` (MTR-004).
        """
        levels = topic.split("/")
        if levels[0] != "sensors":
            return None
        if len(levels) != _LEVELS or _KIND.fullmatch(levels[1]) is None:
            raise RejectError("bad_topic", "the family takes sensors/<kind>/<device id>")
        return Address(FAMILY, CATEGORY, device_id_of(levels[2]))

    def compile(self, topic: str, profile: DeviceProfile, slots: Slots) -> Plan:
        """Return the plan for a topic that `address` has accepted."""
        address = self.address(topic)
        if address is None:
            raise RejectError("bad_topic", "not a topic of the sensors family")
        return SensorPlan(topic.split("/")[1], address.device_id, slots, self._options)


class SensorPlan:
    """The plan of `sensors/<kind>/<device id>`."""

    def __init__(self, kind: str, device_id: str, slots: Slots, options: SensorsOptions) -> None:
        self._kind = kind
        self._device_id = device_id
        self._slots = slots
        self._max_bytes = options.max_payload_bytes
        self._max_future_ns = options.max_future_s * 1_000_000_000
        # Entries hold for one pair of attributes; a sensor seldom changes them.
        self._attributes: dict[str, str] = {}
        self._entries: dict[str, Entry] = {}

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write the readings of one message and report what it says of the device.

        Raises:
            RejectError: The payload is no JSON object (MTR-020).
        """
        body = parse_object(payload, self._max_bytes)
        marks = self._announce(body, received_at_ns, out)
        said = self._describe(body)
        if said != self._attributes:
            self._attributes, self._entries = said, {}
        letters = len(out.dead_letters)
        found: dict[str, tuple[int, float, int]] = {}
        for name, element, value in self._members(body, received_at_ns, out):
            try:
                reading = self._read(name, value)
            except RejectError as error:
                out.reject(error.reason, element[:MAX_ELEMENT_CHARS], None, error.detail)
                continue
            if reading is not None:
                out.overwritten += name in found
                found[name] = reading
        time_ns, clock = self._time(body, received_at_ns, out)
        _write(list(found.values()), time_ns, marks | clock, out)
        if not found and len(out.dead_letters) == letters:
            out.event("empty_message", self._device_id, received_at_ns)
        out.report("device", self._device_id, said)

    def _announce(self, body: dict[str, Any], received_at_ns: int, out: Decoded) -> int:
        if self._kind not in KINDS:
            out.event("unknown_kind", self._device_id, received_at_ns, {"kind": self._kind})
        claimed = foreign_id(body, self._device_id)
        if claimed is None:
            return 0
        data = {"payload_device_id": claimed}
        out.event("id_mismatch", self._device_id, received_at_ns, data)
        return quality.ID_MISMATCH

    def _describe(self, body: dict[str, Any]) -> dict[str, str]:
        device_type, location = body.get("device_type"), body.get("location")
        if type(device_type) is not str or not device_type:
            device_type = f"{self._kind}_sensor"
        said = {"device_type": device_type[:MAX_TYPE_CHARS]}
        if type(location) is str and location:
            said["location"] = location[:MAX_LOCATION_CHARS]
        return said

    def _members(
        self, body: dict[str, Any], received_at_ns: int, out: Decoded
    ) -> Iterator[tuple[str, str, Any]]:
        """Yield metric, element and value of every member of the two parts."""
        for part, prefix in (("data", ""), ("metadata", "meta_")):
            members = body.get(part)
            if type(members) is dict:
                for key, value in members.items():
                    yield prefix + key, f"{part}.{key}", value
            elif members is not None:
                out.reject("bad_value", part, None, f"{part} is not an object")
            elif part == "data":
                out.event("no_data", self._device_id, received_at_ns)

    def _read(self, name: str, value: Any) -> tuple[int, float, int] | None:
        """Return slot, value and flags; None for what is no reading and need not be one."""
        if not isinstance(value, int | float) and name not in SENSOR_METRICS:
            return None
        result = number(value)
        slot, low, high = self._entries.get(name) or self._open(name)
        return slot, result, 0 if low <= result <= high else quality.RANGE

    def _open(self, name: str) -> Entry:
        metric = SENSOR_METRICS.get(metric_name(name), Metric(None, -inf, inf))
        slot = self._slots.slot(
            self._device_id, name, unit=metric.unit, attributes=self._attributes
        )
        entry = self._entries[name] = (slot, metric.low, metric.high)
        return entry

    def _time(self, body: dict[str, Any], received_at_ns: int, out: Decoded) -> tuple[int, int]:
        """Return the time of the message and the flag `clock` when it is that of the receipt."""
        time_ns = parse_instant(body.get("timestamp"))
        if time_ns is None:
            time_ns = parse_instant(body.get("ts"))
        if time_ns is None:
            return received_at_ns, quality.CLOCK
        if is_timely(time_ns, received_at_ns, self._max_future_ns):
            return time_ns, 0
        claims = {"claimed": format_instant(time_ns), "received": format_instant(received_at_ns)}
        out.event("clock_fault", self._device_id, received_at_ns, claims)
        return received_at_ns, quality.CLOCK


def _write(readings: list[tuple[int, float, int]], time_ns: int, flags: int, out: Decoded) -> None:
    """Write the readings of one message, those with the flags of the message as one run."""
    plain = [(slot, value) for slot, value, own in readings if not own]
    if plain:
        slots, values = zip(*plain, strict=True)
        out.readings(slots, time_ns, values, flags)
    for slot, value, own in readings:
        if own:
            out.reading(slot, time_ns, value, flags | own)
