"""Which devices there are, and how they behave: options and registry rows to devices.

Source: F2-170, MTR-150 to MTR-152, SNS-100.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from millrace.errors import UsageError
from millrace.model.device import DeviceProfile
from millrace.simulate.acts import Device
from millrace.simulate.f2 import Controller, F2Options, controller_profiles
from millrace.simulate.meter import Meter, MeterOptions, meter_profiles
from millrace.simulate.sensors import Sensor, SensorOptions, sensor_profiles

FAMILIES: Final = ("f2", "meters", "sensors")
DEMO_EACH: Final = 20
DEMO_CONTROLLERS: Final = 3

Known = Mapping[str, Sequence[DeviceProfile]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one family of a fleet is made of. `keys` are the HMAC keys of meters by device id."""

    family: str
    count: int
    seed: int = 0
    f2: F2Options = field(default_factory=F2Options)
    meter: MeterOptions = field(default_factory=MeterOptions)
    sensor: SensorOptions = field(default_factory=SensorOptions)
    keys: Mapping[str, bytes] = field(default_factory=dict)


def devices(plan: Plan, known: Known, start_ns: int) -> list[Device]:
    """Return the devices of a plan; `known` are the rows of the registry, by family of the model.

    Raises:
        UsageError: There is nothing to simulate.
    """
    if plan.count < 1:
        raise UsageError("there are no devices to simulate", "ask for --count 1 or more")
    if plan.family == "f2":
        profiles = controller_profiles(plan.count, _by_id(known, "f2"))
        return [Controller(one, plan.seed, start_ns, plan.f2) for one in profiles]
    if plan.family == "meters":
        return _meters(plan, known, start_ns)
    profiles = sensor_profiles(plan.count, _by_id(known, "sensors"))
    return [Sensor(one, plan.seed, start_ns, plan.sensor) for one in profiles]


def demo(known: Known, seed: int, start_ns: int) -> list[Device]:
    """Return the demo: the rows of the registry and some more, quick enough to watch."""
    plans = [
        Plan(
            "f2",
            min(DEMO_CONTROLLERS, len(known.get("f2", ()))) + DEMO_EACH,
            seed,
            f2=F2Options(interval_s=5.0, hurry=5.0),
        ),
        Plan("meters", 3 + DEMO_EACH, seed, meter=MeterOptions(send_interval_s=2)),
        Plan(
            "sensors",
            len(known.get("sensors", ())) + DEMO_EACH,
            seed,
            sensor=SensorOptions(interval_s=3.0),
        ),
    ]
    return [device for plan in plans for device in devices(plan, known, start_ns)]


def _meters(plan: Plan, known: Known, start_ns: int) -> list[Device]:
    found: list[Device] = []
    for profile in meter_profiles(plan.count, _by_id(known, "meter")):
        options = replace(plan.meter, key=plan.keys.get(profile.device_id))
        found.append(Meter(profile, plan.seed, start_ns, options))
    return found


def _by_id(known: Known, family: str) -> dict[str, DeviceProfile]:
    return {profile.device_id: profile for profile in known.get(family, ())}
