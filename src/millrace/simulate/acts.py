"""What a simulated device is to the rest: it has an agenda, and does deeds.

Rules: a device knows simulated time only, as UTC nanoseconds; its chance comes from its own
generator. So the same seed gives the same deeds, whoever drives it and however fast.
Source: F2-173.
"""

import heapq
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final, NamedTuple, Protocol

from millrace.mqtt.packets import Subscription
from millrace.simulate.stamps import Stamps

NEVER: Final = 2**63 - 1


class Message(NamedTuple):
    """Something to publish. `is_dup` asks for a second delivery of the same packet."""

    at_ns: int
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    is_dup: bool = False


class Restart(NamedTuple):
    """The device loses power and comes back: its connection breaks without a goodbye."""

    at_ns: int


class Fetch(NamedTuple):
    """The device wants to download an update.

    `on_progress` takes instant and percent, `on_end` the instant, the SHA-256 of what came and what
    went wrong (`''`: nothing); both give what the device does then.
    """

    at_ns: int
    url: str
    size_bytes: int
    on_progress: "Callable[[int, int], list[Deed]]"
    on_end: "Callable[[int, str, str], list[Deed]]"


Deed = Message | Restart | Fetch
Act = Callable[[int], Sequence[Deed]]


class Agenda:
    """What a device has in mind, by simulated time; acts that are due at once keep their order."""

    __slots__ = ("_heap", "_numbers")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Act]] = []
        self._numbers = count()

    @property
    def due_ns(self) -> int:
        """When the next act is due."""
        return self._heap[0][0] if self._heap else NEVER

    def put(self, at_ns: int, act: Act) -> None:
        """Plan an act; it is called with the instant for which it was planned."""
        heapq.heappush(self._heap, (at_ns, next(self._numbers), act))

    def next(self) -> Sequence[Deed]:
        """Do the act that is due first."""
        at_ns, _, act = heapq.heappop(self._heap)
        return act(at_ns)


class Device(Protocol):
    """One device that does not exist.

    With natural pace its agenda is never empty; at a steady rate `emit` is called instead, and the
    agenda holds only what commands have caused.
    """

    device_id: str
    agenda: Agenda
    stamps: Stamps
    filters: tuple[Subscription, ...]
    is_offline: bool

    def emit(self, at_ns: int) -> Message:
        """Return one message of its usual kind, about this instant."""
        ...

    def status(self, at_ns: int, *, is_online: bool) -> Message | None:
        """Return what it says when it comes (and as its will: when it goes); None if nothing."""
        ...

    def heard(self, at_ns: int, topic: str, payload: bytes) -> list[Deed]:
        """Return what it does about a message that it has received."""
        ...

    def reboot(self, at_ns: int) -> list[Deed]:
        """Return what a loss of power makes it do."""
        ...
