"""The keeper: pace, back-off, lanes."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.clock_system import SystemClock
from millrace.errors import RetryError, StopError
from millrace.tend.pace import Breather
from millrace.tend.worker import Chore, Keeper, Lanes


def test_each_chore_has_its_own_pace() -> None:
    clock, ran = ManualClock(), list[str]()

    def work(name: str, done: int) -> int:
        ran.append(name)
        return done

    chores = [
        Chore("often", 1.0, lambda _: work("often", 1)),
        Chore("seldom", 60.0, lambda _: work("seldom", 0)),
    ]
    keeper = Keeper(chores, clock)
    for _ in range(61):
        keeper.run_once()
        clock.advance(1.0)
    assert ran.count("often") == 61
    assert ran.count("seldom") == 2
    assert [chore.done for chore in keeper.chores] == [61, 0]


def test_f12_f30_one_that_is_away_holds_nobody_up() -> None:
    clock = ManualClock()
    is_away = True

    def archive(_: int) -> int:
        if is_away:
            raise RetryError("no space")
        return 3

    keeper = Keeper([Chore("archive", 5.0, archive), Chore("seal", 1.0, lambda _: 1)], clock)
    for _ in range(300):
        keeper.run_once()
        clock.advance(1.0)
    archiving, sealing = keeper.chores
    assert sealing.done == 300
    assert 5 < archiving.failures < 100
    assert archiving.last_error == "no space"
    is_away = False
    clock.advance(61.0)
    keeper.run_once()
    assert archiving.done == 3
    assert archiving.last_error == ""


def test_what_a_person_must_mend_ends_the_loop() -> None:
    def broken(_: int) -> int:
        raise StopError("damaged")

    with pytest.raises(StopError, match="damaged"):
        Keeper([Chore("seal", 1.0, broken)], ManualClock()).run(threading.Event())


def test_lanes_open_and_close_in_their_own_threads_and_end_together() -> None:
    seen: dict[str, list[int]] = {"a": [], "b": []}

    def lane(name: str, *, is_broken: bool) -> Iterator[Keeper]:
        seen[name].append(threading.get_ident())

        def run(_: int) -> int:
            seen[name].append(threading.get_ident())
            if is_broken:
                raise StopError("damaged")
            return 0

        yield Keeper([Chore(name, 0.0, run)], ManualClock())
        seen[name].append(threading.get_ident())

    good = contextmanager(lambda _ended: lane("a", is_broken=False))
    bad = contextmanager(lambda _ended: lane("b", is_broken=True))
    with pytest.raises(StopError, match="damaged"):
        Lanes([good, bad]).run(threading.Event())
    assert len(set(seen["a"])) == 1
    assert len(set(seen["b"])) == 1
    assert seen["a"][0] != seen["b"][0]
    over = threading.Event()
    over.set()
    Lanes([good]).run(over)


def test_f51_long_work_ends_half_way() -> None:
    over, working = threading.Event(), threading.Event()

    @contextmanager
    def lane(ended: threading.Event) -> Iterator[Keeper]:
        breathe = Breather(SystemClock(), ended.wait, is_over=ended.is_set)

        def run(_: int) -> int:
            while True:
                working.set()
                breathe()

        yield Keeper([Chore("archive", 0.0, run)], SystemClock())

    thread = threading.Thread(target=Lanes([lane]).run, args=(over,))
    thread.start()
    assert working.wait(10)
    over.set()
    thread.join(10)
    assert not thread.is_alive()


def test_lanes_are_well_once_open_and_while_no_chore_waits() -> None:
    over, is_away = threading.Event(), threading.Event()

    def run(_: int) -> int:
        if is_away.is_set():
            raise RetryError("no answer")
        return 0

    @contextmanager
    def lane(_ended: threading.Event) -> Iterator[Keeper]:
        yield Keeper([Chore("archive", 0.0, run)], SystemClock())

    lanes = Lanes([lane])
    with pytest.raises(RetryError, match="open"):
        lanes.check()
    thread = threading.Thread(target=lanes.run, args=(over,))
    thread.start()
    try:
        wait_until(lambda: is_well(lanes))
        is_away.set()
        wait_until(lambda: not is_well(lanes))
        with pytest.raises(RetryError, match="archive: no answer"):
            lanes.check()
    finally:
        over.set()
        thread.join()


def is_well(lanes: Lanes) -> bool:
    try:
        lanes.check()
    except RetryError:
        return False
    return True


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)
