"""Who pumps what when partitions move: F20, F23, P5."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event

import pytest

from millrace.adapters.ledger_memory import MemoryLedger
from millrace.errors import FencedError, RetryError, StopError
from millrace.flow.pump import Pump, PumpLimits
from millrace.flow.sharing import pump_our_share
from millrace.model.partition import partition_of
from millrace.settings import Settings
from millrace.wiring.middle import build_middle
from tests.middle.rig import PARTITIONS, BookFleet, Rig, Sent

ALL = frozenset(range(PARTITIONS))


class Script:
    """A membership that answers from a list, and sets `over` when the list is used up."""

    def __init__(self, *shares: frozenset[int], over: Event) -> None:
        self._shares = list(shares)
        self._last = frozenset[int]()
        self._over = over

    def partitions(self, wait_s: float = 0.0) -> frozenset[int]:
        if self._shares:
            self._last = self._shares.pop(0)
        else:
            self._over.set()
        return self._last

    def close(self) -> None:
        """Nothing to leave."""


def room(n: int) -> Sent:
    return Sent(f"sensors/temperature/s{n}", b'{"data":{"temperature_celsius":1}}')


class Opener:
    """Opens pumps over a rig; `before` is called with the number of the pump."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.opened: list[list[int]] = []

    @contextmanager
    def __call__(self, partitions: Sequence[int]) -> Iterator[Pump]:
        self.opened.append(list(partitions))
        rig = self.rig
        pump = Pump(
            log=rig.log,
            ledger=MemoryLedger(rig.books),
            fleet=BookFleet(rig.books),
            middle=build_middle(Settings(), partitions=PARTITIONS),
            clock=rig.clock,
            limits=rig.limits,
        )
        pump.start(partitions=partitions)
        yield pump


def test_f20_a_pump_has_exactly_the_partitions_that_are_ours() -> None:
    rig, over = Rig(limits=PumpLimits(commit_messages=1)), Event()
    opener = Opener(rig)
    rig.append(*map(room, range(40)))

    here = frozenset({0})
    pump_our_share(Script(here, here, here, here, over=over), opener, over, ready=lambda: None)
    assert opener.opened == [[0]]
    mine = sum(partition_of(f"s{n}", PARTITIONS) == 0 for n in range(40))
    assert rig.books.counts.total() == mine > 0


def test_f20_partitions_move_and_each_message_is_stored_once() -> None:
    rig, over = Rig(limits=PumpLimits(commit_messages=1)), Event()
    opener = Opener(rig)
    rig.append(*map(room, range(40)))

    some, rest = frozenset({0}), ALL - {0}
    shares = (some, some, some, rest, rest, rest, frozenset[int](), ALL, ALL)
    pump_our_share(Script(*shares, over=over), opener, over, ready=lambda: None)
    assert opener.opened == [[0], sorted(rest), sorted(ALL)]
    assert rig.books.counts.total() == 40


def test_f20_p5_who_was_replaced_while_it_stood_still_joins_again() -> None:
    rig, over = Rig(limits=PumpLimits(commit_messages=1)), Event()
    opener = Opener(rig)
    rig.append(room(1), room(2))

    calls = iter(range(100))

    class Late(Script):
        """Somebody else claims everything before the membership has noticed."""

        def partitions(self, wait_s: float = 0.0) -> frozenset[int]:
            if next(calls) == 1:
                MemoryLedger(rig.books).claim("process", "raw_iot_data", sorted(ALL))
            return super().partitions(wait_s)

    shares = (ALL, ALL, ALL, frozenset[int](), ALL, ALL, ALL)
    pump_our_share(Late(*shares, over=over), opener, over, ready=lambda: None)
    assert len(opener.opened) == 2
    assert rig.books.counts.total() == 2


def test_p5_a_stranger_with_our_partition_stops_us() -> None:
    rig, over = Rig(limits=PumpLimits(commit_messages=1)), Event()
    opener = Opener(rig)
    rig.append(room(1))

    calls = iter(range(1000))

    class Alone:
        def partitions(self, wait_s: float = 0.0) -> frozenset[int]:
            if next(calls) == 1:
                MemoryLedger(rig.books).claim("process", "raw_iot_data", sorted(ALL))
            return ALL

        def close(self) -> None:
            """Nothing to leave."""

    with pytest.raises(FencedError):
        pump_our_share(Alone(), opener, over, ready=lambda: None)
    assert rig.books.counts.total() == 0


def test_what_is_away_at_the_first_start_is_said() -> None:
    over = Event()

    @contextmanager
    def away(_partitions: Sequence[int]) -> Iterator[Pump]:
        raise RetryError("away")
        yield

    with pytest.raises(RetryError):
        pump_our_share(Script(ALL, over=over), away, over, ready=lambda: None)


def test_f21_what_retention_has_removed_stops_the_pump() -> None:
    rig, over = Rig(limits=PumpLimits(commit_messages=1)), Event()
    opener = Opener(rig)
    rig.append(room(1), room(2))
    assert rig.log.retire(before_ns=2**62, max_bytes=None, keep=[9] * PARTITIONS) == 2
    rig.append(room(1), room(2))

    with pytest.raises(StopError, match="removed from the log before"):
        pump_our_share(Script(*[ALL] * 9, over=over), opener, over, ready=lambda: None)
    assert rig.books.counts.total() == 0
