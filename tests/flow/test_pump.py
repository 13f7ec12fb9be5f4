"""When the pump moves what: due by number or by age, drained, bounded, back after an outage.

Source: D-10, D-13, D-43, P7, P10; F9, F21, F22, F24.
"""

import threading
from collections.abc import Sequence
from contextlib import closing
from copy import deepcopy
from pathlib import Path

import pytest

from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.ledger_memory import LedgerBooks, MemoryLedger
from millrace.adapters.log_sqlite import SqliteLog, SqliteLogReader
from millrace.errors import FencedError, GoneError, RejectError, RetryError, StopError, UnsureError
from millrace.flow.pump import Pump, PumpLimits
from millrace.model.message import RawBatch
from millrace.model.partition import partition_of
from millrace.model.work import Committed, Effects
from millrace.record.latest import open_page
from millrace.settings import Settings
from millrace.wiring.middle import build_middle
from tests.middle.rig import PARTITIONS, BookFleet, Rig, Sent


def room(n: int = 1) -> Sent:
    return Sent(f"sensors/temperature/s{n}", b'{"data":{"temperature_celsius":1}}')


def stored(rig: Rig) -> int:
    return rig.books.counts.total()


def test_d10_few_messages_wait_for_a_tenth_of_a_second() -> None:
    rig = Rig()
    pump = rig.pump()
    assert pump.run_once() == 0
    rig.append(room())
    for _ in range(9):
        assert pump.run_once() == 0
        rig.clock.advance(0.01)
    assert pump.run_once() == 0
    rig.clock.advance(0.02)
    assert pump.run_once() == 1
    assert stored(rig) == 1


def test_d10_the_wait_begins_again_with_each_first_message() -> None:
    rig = Rig()
    pump = rig.pump()
    for _ in range(2):
        rig.append(room())
        assert pump.run_once() == 0
        rig.clock.advance(0.2)
        assert pump.run_once() == 1
    assert pump.run_once() == 0
    rig.clock.advance(5)
    rig.append(room())
    assert pump.run_once() == 0


def test_d10_the_time_of_a_commit_counts_for_what_came_meanwhile() -> None:
    rig = Rig()
    clock = rig.clock

    class SlowLedger(MemoryLedger):
        """Takes 60 ms for a commit, at the beginning of which the next message comes."""

        def commit(self, effects: Effects) -> Committed:
            rig.append(room())
            clock.advance(0.06)
            return super().commit(effects)

    pump = rig.pump(ledger=SlowLedger(rig.books))
    rig.append(room())
    assert pump.run_once() == 0
    clock.advance(0.1)
    assert pump.run_once() == 1
    assert pump.run_once() == 0
    clock.advance(0.05)
    assert pump.run_once() == 1


def test_d10_many_messages_do_not_wait() -> None:
    rig = Rig(limits=PumpLimits(commit_messages=3))
    pump = rig.pump()
    rig.append(room(1), room(2))
    assert pump.run_once() == 0
    rig.append(room(3))
    assert pump.run_once() == 3


def test_d10_a_commit_is_bounded_and_a_backlog_is_drained() -> None:
    rig = Rig(limits=PumpLimits(max_messages=10))
    commits: list[int] = []
    pump = Pump(
        log=rig.log,
        ledger=MemoryLedger(rig.books),
        fleet=BookFleet(rig.books),
        middle=build_middle(Settings(), partitions=1),
        clock=rig.clock,
        limits=rig.limits,
        observed=lambda effects, _: commits.append(effects.counts.total()),
    )
    pump.start()
    for _ in range(50):
        rig.append(room(1), room(2))
    assert pump.drain() == sum(commits) == 100
    assert max(commits) <= 10
    assert pump.drain() == 0


class Away(MemoryLedger):
    """A ledger that is away for a number of calls."""

    def __init__(self, books: LedgerBooks, calls: int) -> None:
        super().__init__(books)
        self.left = calls

    def commit(self, effects: Effects) -> Committed:
        self.left -= 1
        if self.left >= 0:
            raise RetryError("away")
        return super().commit(effects)


def test_d43_p7_an_outage_is_waited_for_and_makes_no_dead_letter() -> None:
    rig = Rig()
    ledger = Away(rig.books, 3)
    pump = rig.pump(ledger=ledger)
    rig.append(room())
    rig.clock.advance(1)
    over = threading.Event()
    thread = threading.Thread(target=pump.run, args=(over,))
    thread.start()
    try:
        for _ in range(500):
            if stored(rig):
                break
            rig.clock.advance(0.1)
            over.wait(0.02)
    finally:
        over.set()
        thread.join()
    assert ledger.left < 0
    assert not rig.books.letters
    assert stored(rig) == 1


class Silent(MemoryLedger):
    """A ledger whose first answer is lost, after or before it has committed; then it is away."""

    def __init__(self, books: LedgerBooks, *, has_committed: bool, away: int = 0) -> None:
        super().__init__(books)
        self._has_committed = has_committed
        self._away = away
        self._lost: tuple[Effects, Committed | None] | None = None

    def commit(self, effects: Effects) -> Committed:
        if self._lost is None:
            self._lost = effects, super().commit(effects) if self._has_committed else None
            raise UnsureError("the answer is lost")
        self._away -= 1
        if self._away >= 0:
            raise RetryError("still away")
        before, committed = self._lost
        if before is effects and committed is not None:
            return committed
        return super().commit(effects)


@pytest.mark.parametrize("has_committed", [True, False])
def test_f24_after_a_lost_answer_the_pump_neither_loses_nor_repeats(*, has_committed: bool) -> None:
    rig = Rig()
    pump = rig.pump(ledger=Silent(rig.books, has_committed=has_committed))
    rig.append(room(1), room(2))
    with pytest.raises(UnsureError):
        pump.drain()
    rig.append(room(3))
    assert pump.drain() == 3
    assert stored(rig) == 3
    assert len(rig.books.series) == 3
    assert pump.positions == {p: extent.end for p, extent in enumerate(rig.log.extents())}


@pytest.mark.parametrize("has_committed", [True, False])
def test_f24_an_outage_after_a_lost_answer_changes_nothing(*, has_committed: bool) -> None:
    rig = Rig()
    pump = rig.pump(ledger=Silent(rig.books, has_committed=has_committed, away=2))
    rig.append(room(1), room(2))
    with pytest.raises(UnsureError):
        pump.drain()
    for _ in range(2):
        with pytest.raises(RetryError):
            pump.drain()
    rig.append(room(3))
    assert pump.drain() == 3
    assert stored(rig) == 3


def test_p5_who_was_taken_over_writes_nothing_of_what_it_owes() -> None:
    rig = Rig()
    zombie = rig.pump()
    rig.append(room(1), room(2))
    zombie.drain()
    rig.clock.advance(61)
    taker = rig.pump()
    rig.append(room(1), room(2))
    taker.drain()
    rig.clock.advance(61)
    assert taker.run_once() == 0
    kept = deepcopy(vars(rig.books))
    with pytest.raises(FencedError):
        zombie.run_once()
    assert vars(rig.books) == kept


def test_p5_a_message_of_one_partition_carries_no_state_of_a_lost_one() -> None:
    rig = Rig()
    zombie = rig.pump()
    names = {partition_of(f"s{n}", PARTITIONS): n for n in range(1, 20)}
    rig.append(*(room(n) for n in names.values()))
    zombie.drain()
    rig.clock.advance(61)
    MemoryLedger(rig.books).claim("process", "raw_iot_data", [1])
    rig.append(room(names[0]))
    kept = deepcopy(vars(rig.books))
    with pytest.raises(FencedError):
        zombie.drain()
    assert vars(rig.books) == kept


def test_d21_latest_values_of_one_that_died_are_there_for_whoever_takes_over() -> None:
    rig = Rig()
    names = {partition_of(f"s{n}", PARTITIONS): n for n in range(1, 20)}
    stays, dies = rig.pump(partitions=[0]), rig.pump(partitions=[1])
    rig.append(*(room(n) for n in names.values()))
    dies.drain()
    stays.drain()
    rig.clock.advance(11)
    stays.run_once()
    ledger = MemoryLedger(rig.books)
    ledger.forget_hot(2**62)
    rig.pump().run_once()
    _, pages = ledger.latest_pages()
    assert sorted(open_page(pages[0])[0].tolist()) == sorted(rig.books.series.values())
    assert len(rig.books.series) == 2
    assert ledger.forget_hot(2**62) > 0
    assert not rig.books.hot


def test_d21_pages_made_before_a_batch_came_in_parts_do_not_cover_it() -> None:
    rig = Rig()

    class Halving(MemoryLedger):
        """Refuses what has more than one message."""

        def commit(self, effects: Effects) -> Committed:
            if sum(move.next_offset - move.expected for move in effects.advances) > 1:
                raise RejectError("store_rejected")
            return super().commit(effects)

    pump = rig.pump(ledger=Halving(rig.books))
    rig.append(room(1), room(1))
    pump.drain()
    pump.run_once()
    assert len(rig.books.covers) == PARTITIONS
    assert all(cover.position == 0 for cover in rig.books.covers.values())


def test_f21_a_position_older_than_retention_is_never_skipped() -> None:
    rig = Rig()
    pump = rig.pump()
    rig.append(room())
    assert rig.log.retire(before_ns=2**62, max_bytes=None, keep=[9, 9]) == 1
    rig.append(room())
    with pytest.raises(GoneError):
        pump.drain()
    assert stored(rig) == 0


def test_f9_damage_in_the_log_stops_the_pump_before_it(tmp_path: Path) -> None:
    with closing(SqliteLog(tmp_path / "log", partitions=1)) as log:
        for n in range(3):
            append(log, [b'{"x":%d}' % n])
        log._connection.execute(
            "UPDATE batches SET frame = CAST(substr(frame, 1, 50) || 'ZZZZ' || substr(frame, 55)"
            " AS BLOB) WHERE position = 1"
        )
        books = LedgerBooks()
        with closing(SqliteLogReader(tmp_path / "log")) as reader:
            pump = pump_over(reader, books)
            pump.run_once()
            with pytest.raises(StopError, match="partition 0, offsets 1 to 1"):
                pump.drain()
    assert books.counts.total() == 1


def test_p10_a_backlog_of_large_messages_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    size = 1 << 20
    books = LedgerBooks()
    most: list[int] = []
    with closing(SqliteLog(tmp_path / "log", partitions=1)) as log:
        for _ in range(30):
            append(log, [b" " * size, b" " * size])
        with closing(SqliteLogReader(tmp_path / "log")) as reader:
            pump = pump_over(reader, books, most)
            assert pump.drain() == 60
    assert max(most) <= 10
    assert books.counts.total() == 60


def append(log: SqliteLog, payloads: Sequence[bytes]) -> None:
    batch = RawBatch(0)
    for payload in payloads:
        batch.add("iot/m1/telemetry", payload, 1)
    log.append([batch])


def pump_over(
    reader: SqliteLogReader, books: LedgerBooks, commits: list[int] | None = None
) -> Pump:
    seen = [] if commits is None else commits
    pump = Pump(
        log=reader,
        ledger=MemoryLedger(books),
        fleet=BookFleet(books),
        middle=build_middle(Settings(), partitions=1),
        clock=ManualClock(),
        observed=lambda effects, _: seen.append(effects.counts.total()),
    )
    pump.start()
    return pump
