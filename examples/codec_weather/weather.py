"""Weather stations: lines of text like `2026-03-01T11:59:58Z;T=21.5;H=56`.

Topics: `weather/<station>/obs`. The first field is the time, every other one a letter, `=` and a
number. A field that is wrong costs only itself.
"""

from typing import Final

from millrace.errors import RejectError
from millrace.model import quality
from millrace.model.codec import Address, Plan
from millrace.model.decoded import Decoded
from millrace.model.device import DeviceProfile
from millrace.model.instants import SECOND_NS, parse_instant
from millrace.model.numbers import read_quantity
from millrace.model.payload import device_id_of, is_timely
from millrace.model.series import Slots
from millrace.model.units import Metric

FAMILY: Final = "weather"
MAX_PAYLOAD_BYTES: Final = 4096
MAX_FUTURE_NS: Final = 600 * SECOND_NS
FIELDS: Final = {
    "T": ("temperature", Metric("Cel", -60, 60)),
    "H": ("humidity", Metric("%", 0, 100)),
    "P": ("pressure", Metric("hPa", 800, 1100)),
    "W": ("wind_speed", Metric("m/s", 0, 120)),
}


class WeatherCodec:
    """The device family `weather`."""

    family = FAMILY

    def address(self, topic: str) -> Address | None:
        """Return whose message this topic carries; None for topics of others.

        Raises:
            RejectError: `bad_topic` or `bad_device_id`: it is ours, and wrong.
        """
        match topic.split("/"):
            case ["weather", station, "obs"]:
                return Address(FAMILY, "telemetry", device_id_of(station))
            case ["weather", *_]:
                raise RejectError("bad_topic", "the family takes weather/<station>/obs")
        return None

    def compile(self, topic: str, profile: DeviceProfile, slots: Slots) -> Plan:
        """Return the plan for a topic that `address` has accepted."""
        del profile  # nothing in the registry changes how a line is read
        return WeatherPlan(topic.split("/")[1], slots)


class WeatherPlan:
    """The plan of one station: one slot for each field, asked for once."""

    def __init__(self, station: str, slots: Slots) -> None:
        self._entries = {
            letter: (slots.slot(station, name, unit=metric.unit), metric)
            for letter, (name, metric) in FIELDS.items()
        }

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Write the readings of one line.

        Raises:
            RejectError: `too_large`, `not_utf8`, `no_value`: nothing of the message can be used.
        """
        del flags
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise RejectError("too_large", f"{len(payload)} bytes")
        try:
            stamp, *fields = payload.decode("ascii").strip().split(";")
        except UnicodeDecodeError as error:
            raise RejectError("not_utf8", f"byte {error.start} is not ASCII") from error
        if not fields:
            raise RejectError("no_value", "the line has no fields")
        time_ns, marks = parse_instant(stamp), 0
        if time_ns is None or not is_timely(time_ns, received_at_ns, MAX_FUTURE_NS):
            time_ns, marks = received_at_ns, quality.CLOCK
        for field in fields:
            try:
                slot, value, range_flag = self._read(field)
            except RejectError as error:
                out.reject(error.reason, field[:32], detail=error.detail)
            else:
                out.reading(slot, time_ns, value, marks | range_flag)

    def _read(self, field: str) -> tuple[int, float, int]:
        letter, _, text = field.partition("=")
        if letter not in self._entries:
            raise RejectError("unmapped", "no field of a weather station")
        slot, metric = self._entries[letter]
        value, _ = read_quantity(text)
        return slot, value, 0 if metric.low <= value <= metric.high else quality.RANGE
