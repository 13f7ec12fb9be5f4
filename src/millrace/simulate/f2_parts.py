"""The components of a controller: what each is about, and what it does by itself or when told.

A component plans its own future on the agenda of its controller; `emit` takes it one step further
at once, for steady rates.
Source: F2-150, F2-170.
"""

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple, Protocol

from millrace.model.instants import SECOND_NS
from millrace.simulate import f2_words
from millrace.simulate.acts import Agenda, Deed, Message
from millrace.simulate.f2_frames import FrameWriter
from millrace.simulate.f2_words import Part, Speech
from millrace.simulate.physics import Day, Walk, waiting_s
from millrace.simulate.stamps import Stamps

DOOR_EVERY_S: Final = 60.0
DOOR_RESTS_S: Final = 35.0  # longer than it is ever open
READER_EVERY_S: Final = 90.0
STRIKE_EVERY_S: Final = 120.0
MOTION_EVERY_S: Final = 40.0
SELDOM: Final = 1e-3

_TIMED = 2


class World(NamedTuple):
    """What the components of one controller share. `hurry` divides the time between events."""

    device_id: str
    rng: Random
    agenda: Agenda
    stamps: Stamps
    day: Day
    speech: Speech
    interval_s: float
    hurry: float
    qos: int

    def later(self, at_ns: int, mean_s: float, act: Callable[[int], list[Deed]]) -> None:
        """Plan an event that comes by chance, less often when nobody is about."""
        wait_s = waiting_s(self.rng, mean_s / self.day.activity(at_ns)) / self.hurry
        self.agenda.put(at_ns + int(wait_s * SECOND_NS), act)

    def within(
        self, at_ns: int, least_s: float, most_s: float, act: Callable[[int], list[Deed]]
    ) -> None:
        """Plan an event between two spans."""
        wait_s = (least_s + (most_s - least_s) * self.rng.random()) / self.hurry
        self.agenda.put(at_ns + int(wait_s * SECOND_NS), act)


class Component(Protocol):
    """One component. `weight` is how often it speaks, relative to the others."""

    part: Part
    weight: float

    def start(self, at_ns: int) -> None:
        """Begin its own life on the agenda."""
        ...

    def emit(self, at_ns: int) -> Message:
        """Return one step of its life."""
        ...

    def told(self, at_ns: int, payload: bytes, *, is_success: bool) -> list[Deed]:
        """Return its answer to a command; `is_success`: on the sixth level of the topic."""
        ...


class Voice:
    """Says members on the topic of a component."""

    def __init__(self, part: Part, world: World) -> None:
        self.part = part
        self._world = world
        self._topic = part.topic(world.device_id, world.speech)

    def told(self, at_ns: int, payload: bytes, *, is_success: bool) -> list[Deed]:
        """Most components take no commands."""
        return []

    def _say(self, at_ns: int, members: str) -> Message:
        stamp = self._world.stamps.json(at_ns)
        payload = f'{{"timestamp": {stamp}, {members}}}'.encode()
        return Message(at_ns, self._topic, payload, self._world.qos)


class Switch(Voice):
    """A strike, a siren, a motion sensor: on or off."""

    def __init__(self, part: Part, world: World) -> None:
        super().__init__(part, world)
        self._is_on = False
        self._turn = 0
        self._every_s = {"strike": STRIKE_EVERY_S, "siren": 0.0}.get(part.type, MOTION_EVERY_S)
        self.weight = 2 / self._every_s if self._every_s else SELDOM

    def start(self, at_ns: int) -> None:
        """Begin to switch by itself, unless it is a siren."""
        if self._every_s:
            self._world.later(at_ns, self._every_s, self._begin)

    def emit(self, at_ns: int) -> Message:
        """Toggle."""
        return self._set(at_ns, is_on=not self._is_on)

    def told(self, at_ns: int, payload: bytes, *, is_success: bool) -> list[Deed]:
        """Obey `strike`, `siren` and `report`."""
        if self.part.type not in ("strike", "siren") or is_success:
            return []
        if not payload:
            return [self._state(at_ns)]
        if self.part.type == "siren":
            known = {b"1": True, b"0": False}.get(payload)
            return [] if known is None else [self._set(at_ns, is_on=known)]
        return self._strike(at_ns, payload)

    def _strike(self, at_ns: int, payload: bytes) -> list[Deed]:
        try:
            body: Any = json.loads(payload)
        except ValueError:
            return []
        flag = body.get("power-flag") if isinstance(body, dict) else None
        if type(flag) is not int or not 0 <= flag <= _TIMED:
            return []
        period_s = body.get("period", 0)
        if flag == _TIMED and type(period_s) is int:
            deeds: list[Deed] = [self._set(at_ns, is_on=True)]
            self._world.agenda.put(at_ns + period_s * SECOND_NS, self._end())
            return deeds
        return [self._set(at_ns, is_on=flag > 0)]

    def _begin(self, at_ns: int) -> list[Deed]:
        self._world.later(at_ns, self._every_s, self._begin)
        if self._is_on:
            return []
        deeds: list[Deed] = [self._set(at_ns, is_on=True)]
        self._world.within(at_ns, 3, 7, self._end())
        return deeds

    def _end(self) -> Callable[[int], list[Deed]]:
        """Return the end of the current period; a later command makes it void."""
        turn = self._turn
        return lambda at_ns: [self._set(at_ns, is_on=False)] if turn == self._turn else []

    def _set(self, at_ns: int, *, is_on: bool) -> Message:
        self._turn += 1
        self._is_on = is_on
        return self._state(at_ns)

    def _state(self, at_ns: int) -> Message:
        is_on = self._is_on
        return self._say(at_ns, f2_words.switch(self.part, self._world.speech, is_on=is_on))


class Contacts(Voice):
    """Door contacts or exit buttons: a few of them in one message."""

    def __init__(self, part: Part, world: World) -> None:
        super().__init__(part, world)
        self._states = [False, False]
        self.weight = 2 / DOOR_EVERY_S

    def start(self, at_ns: int) -> None:
        """Nobody but a door moves it; see `Doors`."""

    def emit(self, at_ns: int) -> Message:
        """Let one of them change."""
        which = int(self._world.rng.random() * len(self._states))
        return self.change(at_ns, which, is_on=not self._states[which])

    def change(self, at_ns: int, which: int, *, is_on: bool) -> Message:
        """Set one of them and say so."""
        self._states[which] = is_on
        return self._say(
            at_ns, f2_words.contacts(self.part, self._world.speech, self._states, which)
        )


class Doors:
    """Somebody leaves now and then: a button is pressed, its door opens and falls shut."""

    def __init__(self, world: World, doors: Contacts | None, buttons: Contacts | None) -> None:
        self._world = world
        self._doors = doors
        self._buttons = buttons

    def start(self, at_ns: int) -> None:
        """Begin on the agenda."""
        self._world.later(at_ns, DOOR_EVERY_S, self._leave)

    def _leave(self, at_ns: int) -> list[Deed]:
        which = int(self._world.rng.random() * 2)
        deeds: list[Deed] = []
        if self._buttons is not None:
            buttons = self._buttons
            deeds.append(buttons.change(at_ns, which, is_on=True))
            release = _changing(buttons, which, is_on=False)
            self._world.within(at_ns, 1, 2, release)
        if self._doors is not None:
            self._world.within(at_ns, 0.4, 0.9, lambda at: self._open(at, which))
        rest_ns = int(DOOR_RESTS_S / self._world.hurry * SECOND_NS)
        self._world.later(at_ns + rest_ns, DOOR_EVERY_S - DOOR_RESTS_S, self._leave)
        return deeds

    def _open(self, at_ns: int, which: int) -> list[Deed]:
        if self._doors is None:
            return []
        self._world.within(at_ns, 5, 30, _changing(self._doors, which, is_on=False))
        return [self._doors.change(at_ns, which, is_on=True)]


class Reader(Voice):
    """A card or code reader."""

    weight = 1 / READER_EVERY_S

    def start(self, at_ns: int) -> None:
        """Begin to scan."""
        self._world.later(at_ns, READER_EVERY_S, self._scan)

    def emit(self, at_ns: int) -> Message:
        """Scan something."""
        return self._say(at_ns, f2_words.scan(self._world.speech, self._world.rng))

    def told(self, at_ns: int, payload: bytes, *, is_success: bool) -> list[Deed]:
        """Show what the indicator is told, and confirm it (F2-054)."""
        if not is_success or payload not in (b"1", b"2", b"3"):
            return []
        return [self._say(at_ns, f2_words.reply(int(payload)))]

    def _scan(self, at_ns: int) -> list[Deed]:
        self._world.later(at_ns, READER_EVERY_S, self._scan)
        return [self.emit(at_ns)]


class Instrument(Voice):
    """An RS-485 instrument whose template is known; `writer.values` is what it said last."""

    def __init__(self, part: Part, world: World, writer: FrameWriter) -> None:
        super().__init__(part, world)
        self.writer = writer
        self.weight = 1 / world.interval_s

    def start(self, at_ns: int) -> None:
        """Begin to measure, every interval."""
        _measure_regularly(self._world, at_ns, self.emit)

    def emit(self, at_ns: int) -> Message:
        """Measure."""
        return self._say(at_ns, f'"data": "{self.writer.next()}"')


class Gauge(Voice):
    """A sensor with a simple `hex_to_float` row; `value` is what it said last."""

    def __init__(
        self, part: Part, world: World, bounds: tuple[float, float], factor: float
    ) -> None:
        super().__init__(part, world)
        self._walk = Walk(world.rng, *bounds)
        self._factor = factor
        self._prefix = "0x" if world.speech is Speech.LEGACY else ""
        self.weight = 1 / world.interval_s
        self.value = 0.0

    def start(self, at_ns: int) -> None:
        """Begin to measure, every interval."""
        _measure_regularly(self._world, at_ns, self.emit)

    def emit(self, at_ns: int) -> Message:
        """Measure."""
        raw = max(0, round(self._walk.next() / self._factor))
        self.value = raw * self._factor
        return self._say(at_ns, f'"data": "{self._prefix}{raw:04X}"')


def _measure_regularly(world: World, at_ns: int, measure: Callable[[int], Message]) -> None:
    every_ns = int(world.interval_s * SECOND_NS)

    def act(at_ns: int) -> list[Deed]:
        world.agenda.put(at_ns + every_ns, act)
        return [measure(at_ns)]

    world.agenda.put(at_ns + int(every_ns * world.rng.random()), act)


def _changing(contacts: Contacts, which: int, *, is_on: bool) -> Callable[[int], list[Deed]]:
    return lambda at_ns: [contacts.change(at_ns, which, is_on=is_on)]
