"""A small world: values that wander, days with working hours, trains that brake, vans that circle.

Pure: chance comes from the generator that is handed in, time as UTC nanoseconds.
Source: SNS-100, MTR-150, F2-170, F2-172.
"""

from datetime import UTC, datetime
from math import cos, exp, hypot, log, pi, sin
from random import Random
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from millrace.model.instants import SECOND_NS

_STEPS: Final = 40  # a walk crosses a tenth of its range in about so many steps
_NIGHT: Final = 0.2
_EVENING: Final = 0.45
_MAGNUS_B: Final = 17.62
_MAGNUS_C: Final = 243.12
_METRES_PER_DEGREE: Final = 111_320.0


class Walk:
    """A value that wanders slowly between two bounds and turns back at them."""

    __slots__ = ("_high", "_low", "_rng", "_step", "value")

    def __init__(self, rng: Random, low: float, high: float) -> None:
        self._rng = rng
        self._low = low
        self._high = high
        self._step = (high - low) / _STEPS
        self.value = low + (high - low) * rng.random()

    def next(self) -> float:
        """Return the value after one more step."""
        value = self.value + (self._rng.random() * 2 - 1) * self._step
        if value < self._low:
            value = 2 * self._low - value
        elif value > self._high:
            value = 2 * self._high - value
        self.value = value
        return value


def waiting_s(rng: Random, mean_s: float) -> float:
    """Return how long it is to the next of events that come by chance, up to ten times the mean."""
    return mean_s * min(10.0, -log(1.0 - rng.random()))


def poisson(rng: Random, mean: float) -> int:
    """Return how many events there were when `mean` are usual."""
    limit, product, number = exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        number += 1
    return number


class Day:
    """How busy people are: working days from 7 to 19, quiet evenings, still nights."""

    __slots__ = ("_offset_s",)

    def __init__(self, at_ns: int, zone: ZoneInfo | None = None) -> None:
        wall = datetime.fromtimestamp(at_ns // SECOND_NS, zone or UTC)
        offset = wall.utcoffset()
        self._offset_s = int(offset.total_seconds()) if offset else 0

    def activity(self, at_ns: int) -> float:
        """Return 1 for working hours and less for the rest of the week."""
        days, second = divmod(at_ns // SECOND_NS + self._offset_s, 86_400)
        hour = second // 3600
        if hour < 6 or hour >= 22:  # noqa: PLR2004 - hours of the day
            return _NIGHT
        is_weekend = (days + 3) % 7 >= 5  # noqa: PLR2004 - 1970 began on a Thursday
        if is_weekend or hour < 7 or hour >= 19:  # noqa: PLR2004
            return _EVENING
        return 1.0


class LoadCycle:
    """A train: it accelerates, cruises, brakes, stands, and leaves again."""

    __slots__ = ("_end_ns", "_phase", "_rng", "_start_ns")

    # Least and most seconds of a phase, and the effort at its beginning and end.
    _PHASES: Final = (
        (20, 40, 1.0, 0.7),
        (40, 120, 0.35, 0.15),
        (15, 30, -1.0, -0.3),
        (15, 40, 0.02, 0.05),
    )

    def __init__(self, rng: Random, at_ns: int) -> None:
        self._rng = rng
        self._phase = int(rng.random() * len(self._PHASES))
        self._start_ns = self._end_ns = at_ns
        self._begin()

    def effort(self, at_ns: int) -> float:
        """Return the part of its power that it takes, negative when it feeds back."""
        while at_ns >= self._end_ns:
            self._phase = (self._phase + 1) % len(self._PHASES)
            self._start_ns = self._end_ns
            self._begin()
        _, _, first, last = self._PHASES[self._phase]
        part = (at_ns - self._start_ns) / (self._end_ns - self._start_ns)
        return first + (last - first) * max(0.0, part)

    def _begin(self) -> None:
        least, most, _, _ = self._PHASES[self._phase]
        length_s = least + (most - least) * self._rng.random()
        self._end_ns = self._start_ns + int(length_s * SECOND_NS)


def dew_point(celsius: float, percent: float) -> float:
    """Return the dew point by the Magnus formula. Units: °C, % of relative humidity."""
    gamma = log(max(percent, 0.1) / 100) + _MAGNUS_B * celsius / (_MAGNUS_C + celsius)
    return _MAGNUS_C * gamma / (_MAGNUS_B - gamma)


class Place(NamedTuple):
    """Where something is on its way, and how fast."""

    latitude: float
    longitude: float
    altitude_m: float
    speed_mps: float


class Track:
    """A closed round through a town, driven again and again."""

    __slots__ = ("_across_m", "_along_m", "_latitude", "_longitude", "_period_s", "_phase")

    def __init__(self, rng: Random, latitude: float, longitude: float) -> None:
        self._latitude = latitude
        self._longitude = longitude
        self._along_m = 800 + 1200 * rng.random()
        self._across_m = 500 + 900 * rng.random()
        self._period_s = 600 + 600 * rng.random()
        self._phase = 2 * pi * rng.random()

    def place(self, at_ns: int) -> Place:
        """Return where the van is."""
        angle = 2 * pi * (at_ns / SECOND_NS % self._period_s) / self._period_s + self._phase
        east_m, north_m = self._along_m * cos(angle), self._across_m * sin(angle)
        turn = 2 * pi / self._period_s
        per_longitude = _METRES_PER_DEGREE * cos(self._latitude * pi / 180)
        return Place(
            self._latitude + north_m / _METRES_PER_DEGREE,
            self._longitude + east_m / per_longitude,
            38 + 6 * sin(angle),
            turn * hypot(self._along_m * sin(angle), self._across_m * cos(angle)),
        )
