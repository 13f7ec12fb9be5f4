"""F2 controllers: their components come from the registry, their life from chance.

A controller without rows for its doors and switches has the usual ones; they decode by themselves.
Source: F2-170 to F2-173.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from millrace.codecs.f2.components import COMPONENTS
from millrace.model.device import DataPoint, DeviceProfile, Parameter, TemplateVersion
from millrace.mqtt.packets import Subscription
from millrace.simulate.acts import Agenda, Deed, Message, Restart
from millrace.simulate.f2_frames import FrameWriter, active_version, limits, shape_of
from millrace.simulate.f2_parts import (
    Component,
    Contacts,
    Doors,
    Gauge,
    Instrument,
    Reader,
    Switch,
    World,
)
from millrace.simulate.f2_words import STAMP_FORMS, Part, Speech
from millrace.simulate.physics import Day
from millrace.simulate.stamps import Stamps

INTERVAL_S: Final = 30.0

_CONNECTORS: Final = {"siren": "J1", "motion-sensor": "J1", "sensor": "J4"}
_USUAL: Final = (
    ("strike", "1"),
    ("door-sensors", None),
    ("reader", "1"),
    ("exit-buttons", None),
    ("siren", "1"),
    ("motion-sensor", "1"),
)
_HEX_HIGH: Final = 0xFFFF
_REPLY_LEVELS: Final = 6


@dataclass(frozen=True, slots=True)
class F2Options:
    """How controllers behave. `hurry` divides the time between events of people."""

    speech: Speech = Speech.CURRENT
    interval_s: float = INTERVAL_S
    hurry: float = 1.0
    is_steady: bool = False
    qos: int = 1
    time_zone: str = "UTC"


class Controller:
    """One controller; see `acts.Device`."""

    def __init__(
        self, profile: DeviceProfile, seed: int, start_ns: int, options: F2Options
    ) -> None:
        self.device_id = profile.device_id
        self.agenda = Agenda()
        zone = _zone(profile.time_zone or options.time_zone)
        self.stamps = Stamps(STAMP_FORMS[options.speech], start_ns, zone)
        self.is_offline = False
        # What it publishes in legacy form must not come back to it.
        commands = Subscription(f"cmnd/{self.device_id}/#", 1, no_local=True)
        self.filters: tuple[Subscription, ...] = (commands,)
        self._rng = Random(f"{seed}/{self.device_id}")  # noqa: S311 - a world, not a secret
        world = World(
            self.device_id,
            self._rng,
            self.agenda,
            self.stamps,
            Day(start_ns, zone),
            options.speech,
            options.interval_s,
            options.hurry,
            options.qos,
        )
        self.components = list(_components(profile, world, start_ns))
        self._by_place = {_key(one.part.connector, one.part.name): one for one in self.components}
        self._weights = _cumulated(self.components)
        if not options.is_steady:
            _start(self.components, world, start_ns)

    def emit(self, at_ns: int) -> Message:
        """Let one component take a step, the busy ones more often; see `acts.Device`."""
        which = bisect_right(self._weights, self._rng.random() * self._weights[-1])
        return self.components[which].emit(at_ns)

    def status(self, at_ns: int, *, is_online: bool) -> Message | None:
        """Controllers have no status; see `acts.Device`."""
        return None

    def heard(self, at_ns: int, topic: str, payload: bytes) -> list[Deed]:
        """Answer a command; see `acts.Device`. Source: F2-150."""
        levels = topic.split("/")
        if len(levels) < _REPLY_LEVELS - 1:
            return []
        component = self._by_place.get(_key(levels[3], levels[4].lower()))
        if component is None:
            return []
        return component.told(at_ns, payload, is_success=len(levels) == _REPLY_LEVELS)

    def reboot(self, at_ns: int) -> list[Deed]:
        """Return what a loss of power makes it do; see `acts.Device`."""
        self.stamps.booted_ns = at_ns
        return [Restart(at_ns)]


def _components(profile: DeviceProfile, world: World, start_ns: int) -> Iterator[Component]:
    for (connector, position), attached in sorted(profile.pins.items()):
        version = active_version(attached.versions, start_ns)
        if version is not None and version.data_points:
            part = Part("sensor-mode", f"J{connector}", "sensor", f"sensor-{position}")
            yield Instrument(part, world, FrameWriter(version, world.rng))
    simple = [_simple(row, profile, world) for row in profile.parameters]
    if all(one is None or one.part.mode == "sensor-mode" for one in simple):
        simple += [_simple(row, profile, world) for row in _usual()]
    yield from (one for one in simple if one is not None)


def _usual() -> Iterator[Parameter]:
    """Yield rows for what decodes by itself (F2-050)."""
    for kind, number in _USUAL:
        known = COMPONENTS[kind]
        yield Parameter(0, known.mode, kind, number, known.encoding, known.unit)


def _simple(row: Parameter, profile: DeviceProfile, world: World) -> Component | None:
    """Return the component of a simple row; None for one that cannot be decoded."""
    known = COMPONENTS.get(row.component_type)
    number = row.component_id or ("1" if known is None or known.numbers else None)
    name = f"{row.component_type}-{number}" if number else row.component_type
    part = Part(row.mode, _connector(row.component_type, number, profile), row.component_type, name)
    encoding = row.encoding_type.strip().lower()
    if encoding == "boolean":
        return Switch(part, world)
    if encoding == "boolean_map":
        return Contacts(part, world)
    if encoding == "raw_string":
        return Reader(part, world)
    if encoding == "hex_to_float" and row.scaling_factor > 0:
        bounds = limits(row.units, 0, _HEX_HIGH * row.scaling_factor)
        return Gauge(part, world, bounds, row.scaling_factor)
    point = DataPoint(0, "data", row.encoding_type, 0)
    if shape_of(point) is not None:
        return Instrument(part, world, FrameWriter(TemplateVersion(0, (point,)), world.rng))
    return None


def _connector(kind: str, number: str | None, profile: DeviceProfile) -> str:
    """Return where a simple component sits: the usual place, unless something is wired there."""
    usual = _CONNECTORS.get(kind, "J2")
    if kind != "sensor" or number is None:
        return usual
    places = (4, 3, 2, 5, 1)
    free = (at for at in places if (at, int(number)) not in profile.pins)
    return f"J{next(free, 4)}"


def _start(components: Sequence[Component], world: World, start_ns: int) -> None:
    doors = buttons = None
    for one in components:
        one.start(start_ns)
        if isinstance(one, Contacts):
            if one.part.type == "exit-buttons":
                buttons = one
            else:
                doors = one
    if doors is not None or buttons is not None:
        Doors(world, doors, buttons).start(start_ns)


def _cumulated(components: Sequence[Component]) -> list[float]:
    sums: list[float] = []
    for one in components:
        sums.append((sums[-1] if sums else 0.0) + one.weight)
    return sums


def _key(connector: str, name: str) -> tuple[str, str]:
    return connector.upper().removeprefix("J").lstrip("0"), name


def _zone(name: str) -> ZoneInfo | None:
    try:
        return None if name == "UTC" else ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return None


def controller_profiles(count: int, known: Mapping[str, DeviceProfile]) -> list[DeviceProfile]:
    """Return `count` controllers: those of the registry first, then made-up ones without wiring."""
    found = list(known.values())[:count]
    number = 0
    while len(found) < count:
        number += 1
        device_id = f"f2-5100{number:08x}"
        if device_id not in known:
            found.append(DeviceProfile(device_id, "f2"))
    return found
