"""Small wireless sensors: temperature, humidity, motion, position.

Source: SNS-010 to SNS-013, SNS-100.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sin
from random import Random
from typing import Final

import msgspec

from millrace.model.device import DeviceProfile
from millrace.model.instants import SECOND_NS
from millrace.mqtt.packets import Subscription
from millrace.simulate.acts import Agenda, Deed, Message, Restart
from millrace.simulate.physics import Day, Track, dew_point, poisson
from millrace.simulate.stamps import Form, Stamps

KINDS: Final = ("temperature", "humidity", "motion", "gps")
INTERVALS_S: Final = {"temperature": 5.0, "humidity": 10.0, "motion": 10.0, "gps": 5.0}

# The mean of `Day.activity` over a week, so that motion is 0.2 on average (SNS-100).
_MEAN_ACTIVITY: Final = 0.563
_USUAL_MOTION: Final = 0.2
_BATTERY_S_PER_PERCENT: Final = 3600
_CENTRE: Final = (52.52, 13.405)


@dataclass(frozen=True, slots=True)
class SensorOptions:
    """How sensors behave. `interval_s` None is that of the kind; `anomalies` is a share."""

    interval_s: float | None = None
    is_steady: bool = False
    qos: int = 0
    anomalies: float = 0.0


class Sensor:
    """One sensor; see `acts.Device`."""

    filters: tuple[Subscription, ...] = ()

    def __init__(
        self, profile: DeviceProfile, seed: int, start_ns: int, options: SensorOptions
    ) -> None:
        self.device_id = profile.device_id
        self.agenda = Agenda()
        self.stamps = Stamps(Form.ZULU_MS, start_ns)
        self.is_offline = False
        self._rng = Random(f"{seed}/{self.device_id}")  # noqa: S311 - a world, not a secret
        self._options = options
        kind = kind_of(profile.device_type)
        self._topic = f"sensors/{kind}/{self.device_id}"
        about = {
            "device_id": self.device_id,
            "device_type": f"{kind}_sensor",
            "location": profile.location or "Site",
        }
        self._head = msgspec.json.encode(about).decode()[:-1] + ',"timestamp":'
        self._measure: Callable[[int], str] = getattr(self, f"_{kind}")
        self._day = Day(start_ns)
        self._track = Track(self._rng, *_CENTRE)
        self._charge = 20 + int(81 * self._rng.random())
        self._start_ns = start_ns
        interval_s = options.interval_s or INTERVALS_S[kind]
        self._every_ns = int(interval_s * SECOND_NS)
        if not options.is_steady:
            self.agenda.put(start_ns + int(self._every_ns * self._rng.random()), self._report)

    def emit(self, at_ns: int) -> Message:
        """Return a measurement; see `acts.Device`."""
        signal = -80 + int(51 * self._rng.random())
        payload = (
            f'{self._head}{self.stamps.json(at_ns)},"data":{self._measure(at_ns)},'
            f'"metadata":{{"battery_level":{self._battery(at_ns)},"signal_strength":{signal}}}}}'
        )
        return Message(at_ns, self._topic, payload.encode(), self._options.qos)

    def status(self, at_ns: int, *, is_online: bool) -> Message | None:
        """Sensors have no status; see `acts.Device`."""
        return None

    def heard(self, at_ns: int, topic: str, payload: bytes) -> list[Deed]:
        """Sensors hear nothing; see `acts.Device`."""
        return []

    def reboot(self, at_ns: int) -> list[Deed]:
        """Return what a loss of power makes it do; see `acts.Device`."""
        self.stamps.booted_ns = at_ns
        return [Restart(at_ns)]

    def _report(self, at_ns: int) -> list[Deed]:
        self.agenda.put(at_ns + self._every_ns, self._report)
        return [self.emit(at_ns)]

    def _battery(self, at_ns: int) -> int:
        """Return the charge: a percent an hour less, and a fresh battery after 20."""
        used = (at_ns - self._start_ns) // (_BATTERY_S_PER_PERCENT * SECOND_NS)
        return 20 + (self._charge - 20 - used) % 81

    def _is_odd(self) -> bool:
        share = self._options.anomalies
        return share > 0 and self._rng.random() < share

    def _celsius(self, at_ns: int) -> float:
        t = at_ns / SECOND_NS
        celsius = 22 + 5 * sin(t / 3600) + self._rng.random() * 4 - 2
        return celsius + 25 if self._is_odd() else celsius

    def _temperature(self, at_ns: int) -> str:
        celsius = round(self._celsius(at_ns), 2)
        fahrenheit = round(celsius * 9 / 5 + 32, 2)
        return f'{{"temperature_celsius":{celsius},"temperature_fahrenheit":{fahrenheit}}}'

    def _humidity(self, at_ns: int) -> str:
        percent = 45 + 10 * sin(at_ns / SECOND_NS / 43_200) + self._rng.random() * 10 - 5
        percent = round(min(100.0, percent + 45) if self._is_odd() else percent, 2)
        dew = round(dew_point(22 + 5 * sin(at_ns / SECOND_NS / 3600), percent), 2)
        return f'{{"humidity_percent":{percent},"dew_point":{dew}}}'

    def _motion(self, at_ns: int) -> str:
        mean = _USUAL_MOTION * self._day.activity(at_ns) / _MEAN_ACTIVITY
        number = poisson(self._rng, 40.0 if self._is_odd() else mean)
        return f'{{"motion":{"true" if number else "false"},"count":{number}}}'

    def _gps(self, at_ns: int) -> str:
        place = self._track.place(at_ns)
        speed = place.speed_mps + (60 if self._is_odd() else 0)
        return (
            f'{{"latitude":{place.latitude:.6f},"longitude":{place.longitude:.6f},'
            f'"altitude_m":{place.altitude_m:.1f},"speed_mps":{speed:.2f}}}'
        )


def kind_of(device_type: str | None) -> str:
    """Return the kind of a sensor by its device type; temperature when it says none."""
    kind = (device_type or "").removesuffix("_sensor")
    return kind if kind in KINDS else "temperature"


def sensor_profiles(count: int, known: Mapping[str, DeviceProfile]) -> list[DeviceProfile]:
    """Return `count` sensors: those of the registry's demo rows first, then made-up ones."""
    found = list(known.values())[:count]
    for number in range(len(found), count):
        kind = KINDS[number % len(KINDS)]
        location = f"Hall {number // 40 + 1}, row {number // len(KINDS) % 10 + 1}"
        found.append(
            DeviceProfile(
                f"{kind}-{number + 1:05d}",
                "sensors",
                device_type=f"{kind}_sensor",
                location=location,
            )
        )
    return found
