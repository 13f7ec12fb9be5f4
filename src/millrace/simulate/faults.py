"""Misfortunes on purpose, each a share of the messages, each counted.

    gaps         a message is made and never sent
    duplicates   a message is delivered twice, the same bytes
    reordered    a message is overtaken by the next one
    late         some messages wait, and come together afterwards, in order
    reboots      the device loses power before a message
    bad_clocks   a message is stamped by a wrong clock: 1970, milliseconds, hours off
    garbage      the payload of a message is damaged, so that it cannot be decoded

One message suffers at most one of them. What happens depends on seed, device and order only.
Source: MTR-151, F2-170.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from random import Random
from typing import Final

from millrace.errors import UsageError
from millrace.simulate.acts import Agenda, Deed, Device, Message
from millrace.simulate.stamps import ClockFault

LATE_MOST: Final = 20

_CLOCKS: Final = (ClockFault.UNSET, ClockFault.MILLIS, ClockFault.HOURS_OFF)


@dataclass(frozen=True, slots=True)
class Shares:
    """The share of messages that each misfortune befalls."""

    gaps: float = 0.0
    duplicates: float = 0.0
    reordered: float = 0.0
    late: float = 0.0
    reboots: float = 0.0
    bad_clocks: float = 0.0
    garbage: float = 0.0

    def check(self) -> None:
        """Refuse shares that are none. Raises: UsageError."""
        if any(not 0 <= one <= 1 for one in astuple(self)) or sum(astuple(self)) > 1:
            raise UsageError(
                "the shares of faults are not between 0 and 1, or are more than 1 together",
                "write 0.01 for one message in a hundred",
            )

    @property
    def is_none(self) -> bool:
        """Whether nothing ever goes wrong."""
        return not any(astuple(self))


class Faults:
    """The misfortunes of one device. `counts` may be shared by many."""

    def __init__(self, shares: Shares, device: Device, seed: int, counts: Counter[str]) -> None:
        self._device = device
        self._counts = counts
        self._rng = Random(f"{seed}/{device.device_id}/faults")  # noqa: S311 - not a secret
        self._table = _table(shares)
        self._swapped: Message | None = None
        self._backlog: list[Message] = []
        self._backlog_length = 0

    def emit(self, at_ns: int) -> list[Deed]:
        """Let the device say something, and return what becomes of it."""
        kind = self._draw()
        before = self._befall(kind, at_ns)
        message = self._device.emit(at_ns)
        self._device.stamps.fault = ClockFault.NONE
        self._counts["bad_clocks"] += kind == "bad_clocks"
        return [*self._through(before), *self._carry(kind, message)]

    def act(self, agenda: Agenda) -> list[Deed]:
        """Let the device do what is due first, and return what becomes of it."""
        kind = self._draw()
        before = self._befall(kind, agenda.due_ns)
        deeds = agenda.next()
        self._device.stamps.fault = ClockFault.NONE
        result = self._through(before)
        for deed in deeds:
            if type(deed) is not Message:
                result.append(deed)
            elif deed.retain:
                result += self._carry("", deed)
            else:
                self._counts["bad_clocks"] += kind == "bad_clocks"
                result += self._carry(kind, deed)
                kind = self._draw_again()
        return result

    def flush(self) -> list[Message]:
        """Return what still waits; at the end everything has come."""
        waiting = [*self._backlog]
        if self._swapped is not None:
            waiting.append(self._swapped)
        self._backlog, self._swapped, self._backlog_length = [], None, 0
        return waiting

    def _draw(self) -> str:
        chance = self._rng.random()
        if self._backlog_length:
            return ""
        return next((kind for limit, kind in self._table if chance < limit), "")

    def _draw_again(self) -> str:
        """Return what befalls a further message of one act, which is stamped already."""
        kind = self._draw()
        return "" if kind in ("bad_clocks", "reboots") else kind

    def _befall(self, kind: str, at_ns: int) -> Sequence[Deed]:
        if kind == "bad_clocks":
            self._device.stamps.fault = _CLOCKS[int(self._rng.random() * len(_CLOCKS))]
        elif kind == "reboots":
            self._counts["reboots"] += 1
            return self._device.reboot(at_ns)
        return ()

    def _through(self, deeds: Iterable[Deed]) -> list[Deed]:
        result: list[Deed] = []
        for deed in deeds:
            result += self._carry("", deed) if type(deed) is Message else [deed]
        return result

    def _carry(self, kind: str, message: Message) -> list[Message]:
        """Return what arrives in place of a message."""
        if kind == "late" and not self._backlog_length:
            self._backlog_length = 2 + int((LATE_MOST - 1) * self._rng.random())
        if len(self._backlog) < self._backlog_length:
            self._counts["late"] += 1
            self._backlog.append(message)
            return []
        if self._backlog_length:
            backlog, self._backlog, self._backlog_length = self._backlog, [], 0
            return self._overtake([*backlog, message])
        if kind == "reordered" and self._swapped is None:
            self._swapped = message
            return []
        if kind == "gaps":
            self._counts["gaps"] += 1
            return []
        return self._overtake(self._spoil(kind, message))

    def _spoil(self, kind: str, message: Message) -> list[Message]:
        if kind == "duplicates":
            self._counts["duplicates"] += 1
            return [message, message._replace(is_dup=True)]
        if kind == "garbage":
            self._counts["garbage"] += 1
            return [message._replace(payload=garbage(message, self._rng))]
        return [message]

    def _overtake(self, messages: list[Message]) -> list[Message]:
        if self._swapped is None:
            return messages
        self._counts["reordered"] += 1
        swapped, self._swapped = self._swapped, None
        return [*messages, swapped]


def garbage(message: Message, rng: Random) -> bytes:
    """Return bytes that are no payload of any family, yet look like one that broke."""
    if message.topic.startswith("cmnd/"):
        # Anything but an object with a timestamp would be a command there (F2-008).
        return b'{"timestamp": "2025-07-02T11:59:58"}'
    # A part of an object is never an object.
    cut = message.payload[: max(1, int(len(message.payload) * rng.random()))]
    return (cut, b"\xff\xfe" + cut, b"[" + cut, b"")[int(rng.random() * 4)]


def _table(shares: Shares) -> list[tuple[float, str]]:
    """Return the kinds with the upper ends of their parts of 0 to 1."""
    table, limit = [], 0.0
    for each in fields(shares):
        share = getattr(shares, each.name)
        if each.name == "late":
            # One stroke of it befalls this many messages on average.
            share /= (LATE_MOST + 2) / 2
        limit += share
        table.append((limit, each.name))
    return table
