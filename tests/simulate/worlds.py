"""Devices and instants that the tests of the simulator share."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from millrace.codecs.f2 import F2Codec
from millrace.codecs.meter import MeterCodec
from millrace.codecs.sensors import SensorsCodec
from millrace.model.codec import Codec
from millrace.model.device import (
    Attached,
    DataPoint,
    DeviceProfile,
    Parameter,
    TemplateVersion,
)
from millrace.model.instants import SECOND_NS
from millrace.simulate.acts import Deed, Device, Message
from millrace.simulate.faults import Shares
from millrace.simulate.plan import Known, Plan, devices
from millrace.simulate.schedule import Schedule
from tests.codecs.outcome import decode

# Sunday, 2026-03-01T12:00:00Z; the Monday after it.
START_NS = 1_772_366_400 * SECOND_NS
MONDAY_NS = START_NS + 86_400 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS

CODECS: dict[str, Codec] = {"f2": F2Codec(), "meter": MeterCodec(), "sensors": SensorsCodec()}

ENCODINGS = (
    ("Int8", 1), ("Int16", 2), ("Int24", 3), ("Int32", 4), ("Int64", 8),
    ("Uint8", 1), ("Uint16", 2), ("Uint24", 3), ("Uint32", 4), ("Uint64", 8),
    ("Float32", 4), ("Float64", 8), ("BCD", 3), ("ASCII", 6), ("Bit(3)", 2),
)  # fmt: skip
SWAPPABLE = {"Int32", "Uint32", "Float32", "Int64", "Uint64", "Float64"}


def points(encodings: Iterable[tuple[str, int]] = ENCODINGS) -> Iterator[DataPoint]:
    """Yield a data point for each encoding, byte order and some decimals, behind the header."""
    offset = 3
    for name, length in encodings:
        for order in ("big", "little", "word-swapped"):
            if order == "word-swapped" and name not in SWAPPABLE:
                continue
            number = offset * 10 + len(order)
            decimals = 0 if name.startswith("Bit") else offset % 4
            yield DataPoint(
                number, f"{name} {order}", name, offset, length, order, decimals, append=" °C"
            )
            offset += length


def instrument(number: int, points: Sequence[DataPoint], crc: str = "none") -> Attached:
    return Attached(f"dev-{number}", (TemplateVersion(number, tuple(points), crc),))


def controller() -> DeviceProfile:
    """A controller with every kind of component that a registry may describe."""
    legacy = [
        DataPoint(1, "Temperature", "Int16", 0, 2, decimals=2, append=" °C"),
        DataPoint(2, "Humidity", "Uint16", 2, 2, decimals=2, append=" %"),
        DataPoint(3, "CO2", "Uint16", 4, 2, append=" ppm"),
    ]
    rows = (
        ("access-control-mode", "door-sensors", None, "boolean_map", "state", 1.0),
        ("access-control-mode", "strike", "1", "boolean", "state", 1.0),
        ("access-control-mode", "reader", "2", "raw_string", "text", 1.0),
        ("access-control-mode", "exit-buttons", None, "boolean_map", "state", 1.0),
        ("sensor-mode", "sensor", "3", "hex_to_float", "celsius", 0.1),
        ("sensor-mode", "sensor", "4", "Uint32", "hPa", 1.0),
        ("alarm-mode", "motion-sensor", "5", "boolean", "presence", 1.0),
        ("alarm-mode", "siren", "2", "boolean", "state", 1.0),
        ("sensor-mode", "sensor", "6", "nonsense", "", 1.0),
    )
    return DeviceProfile(
        "f2-0000000000a1",
        "f2",
        time_zone="Europe/Berlin",
        pins={
            (1, 1): instrument(11, list(points()), "modbus"),
            (2, 6): instrument(12, legacy),
        },
        parameters=tuple(Parameter(i, *row) for i, row in enumerate(rows, 1)),
    )


def known() -> Known:
    return {"f2": [controller(), DeviceProfile("f2-0000000000a2", "f2")]}


def fleet(plan: Plan, start_ns: int = START_NS) -> list[Device]:
    return devices(plan, known(), start_ns)


def schedule(
    plan: Plan, *, start_ns: int = START_NS, rate: float = 0.0, shares: Shares | None = None
) -> tuple[list[Device], Schedule]:
    made = fleet(plan, start_ns)
    return made, Schedule(made, seed=plan.seed, start_ns=start_ns, rate=rate, shares=shares)


def play(plan: Plan, seconds: float, **options: Any) -> list[tuple[int, Deed]]:
    """Return the deeds of so many seconds."""
    start_ns = options.get("start_ns", START_NS)
    _, one = schedule(plan, **options)
    return drained(one, start_ns + int(seconds * SECOND_NS))


def drained(one: Schedule, until_ns: int) -> list[tuple[int, Deed]]:
    deeds: list[tuple[int, Deed]] = []
    while steps := one.until(until_ns, 1000):
        deeds += [(number, deed) for number, step in steps for deed in step]
    return deeds


def messages(deeds: Iterable[tuple[int, Deed]]) -> list[Message]:
    return [deed for _, deed in deeds if isinstance(deed, Message)]


def body(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(message.payload)
    return found


def readings(message: Message, profile: DeviceProfile | None = None) -> dict[str, Any]:
    """Decode one message at the instant at which it was made."""
    family = {"iot": "meter", "sensors": "sensors"}.get(message.topic.split("/")[0], "f2")
    codec = CODECS[family]
    address = codec.address(message.topic)
    assert address is not None, message.topic
    about = profile or DeviceProfile(address.device_id, family)
    return decode(codec, message.topic, message.payload, message.at_ns, about)


def values(result: dict[str, Any]) -> dict[tuple[str, str], float]:
    return {(one["metric"], one["channel"]): one["value"] for one in result["readings"]}
