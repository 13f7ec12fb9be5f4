"""Background work waits for quiet, but not for ever."""

import pytest

from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.log_memory import MemoryLog
from millrace.model.message import RawBatch
from millrace.tend.pace import Breather, Pace

SECOND_NS = 1_000_000_000


class Growing:
    """A log whose growth a test decides."""

    def __init__(self) -> None:
        self.log = MemoryLog(partitions=1)
        self.waiting = 0

    def decided(self, partition: int) -> int:
        return self.log.extents()[partition].end - self.waiting

    def grow(self, messages: int) -> None:
        batch = RawBatch(0)
        for n in range(messages):
            batch.add("a", b"", n)
        self.log.append([batch])


@pytest.fixture
def growing() -> Growing:
    return Growing()


def test_quiet_log_lets_work(growing: Growing) -> None:
    pace = Pace(growing.log, growing.decided, busy_per_s=10)
    assert not pace.may_work(SECOND_NS)
    growing.grow(10)
    assert pace.may_work(2 * SECOND_NS)


def test_burst_holds_work_back_until_it_is_over(growing: Growing) -> None:
    pace = Pace(growing.log, growing.decided, busy_per_s=10)
    pace.may_work(SECOND_NS)
    growing.grow(11)
    assert not pace.may_work(2 * SECOND_NS)
    assert pace.may_work(3 * SECOND_NS)


def test_pump_that_is_behind_holds_work_back(growing: Growing) -> None:
    pace = Pace(growing.log, growing.decided, behind=10)
    pace.may_work(SECOND_NS)
    growing.waiting = 11
    assert not pace.may_work(2 * SECOND_NS)
    growing.waiting = 10
    assert pace.may_work(3 * SECOND_NS)


def test_endless_burst_does_not_hold_work_back_for_ever(growing: Growing) -> None:
    pace = Pace(growing.log, growing.decided, busy_per_s=10, patience_s=2)
    answers = []
    for second in range(1, 8):
        answers.append(pace.may_work(second * SECOND_NS))
        growing.grow(11)
    assert answers == [False] * 4 + [True] * 3


def test_worker_rests_three_times_as_long_as_it_works() -> None:
    clock = ManualClock()
    rests: list[float] = []
    breathe = Breather(clock, rests.append, share=0.25)
    clock.advance(0.1)
    breathe()
    breathe()
    assert rests == [pytest.approx(0.3), 0.0]
