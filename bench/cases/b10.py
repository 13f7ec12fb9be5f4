"""B10: the store is away while devices go on at half the rate of B1; then it is back.

What takes the store away is a foreign connection that holds its write lock, so every commit of the
pump fails as it does behind a database that is down. Devices must not notice: every message is
acknowledged, because it is in the log. `BENCH_AWAY_S` sets how long the store is away.
"""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from bench.bench import Bench
from bench.checks import check_books, check_readings, require
from bench.fleet import add_f2
from bench.measuring import Line, MemorySampler
from bench.process import Worker
from bench.report import at_least, at_most
from bench.sources import f2_expected
from bench.stack import Stack, wait_until
from millrace.store.sqlite import open_store
from millrace.wiring.places import store_path
from millrace.wiring.setup import open_books

DEVICES = 1000
RATE = 60_000
BURST = 10
AWAY_S = 60
GROWTH_MOST = 1.1


def run(bench: Bench) -> None:
    """Take the store away under load, give it back, and see how fast the rest goes through."""
    seconds = bench.size(int(os.environ.get("BENCH_AWAY_S", AWAY_S)), 4)
    rate = bench.size(RATE, 5_000)
    stack = Stack(bench.folder("b10"), patience_s=10.0 * seconds + 60)
    add_f2(stack.settings, DEVICES)
    with stack:
        line = Line(stack, "f2", DEVICES)
        line.send(bench.size(100, 10), "--port", stack.mqtt_port)
        before = line.sent * DEVICES
        with away(stack), MemorySampler(stack) as memory:
            paced = _pace(stack, line.sent, rate=rate, seconds=seconds)
            waiting = stack.books().lag
        returned_s = time.time()
        first_s = _first_commit(stack, waiting)
        ended_s = stack.wait_until_stored(before + paced)
        check_books(stack.books(), {"f2": before + paced})
    require(paced == rate * seconds, f"{paced:,} messages were acknowledged")
    require(waiting == paced, f"{waiting:,} messages waited, not {paced:,}")
    expected = f2_expected(DEVICES, line.sent + paced // DEVICES)
    check_readings(stack.settings, expected, every_ns=None)
    bench.detail("seconds away", seconds)
    bench.detail("resident_mib", memory.most_by_process())
    bench.row("acknowledged while the store is away", rate, "msg/s")
    bench.row("drained afterwards", waiting / (ended_s - first_s), "msg/s", at_least(2 * rate))
    bench.row("  first commit after the return", first_s - returned_s, "s")
    bench.row("  last third over middle third", memory.growth, "times", at_most(GROWTH_MOST))


@contextmanager
def away(stack: Stack) -> Iterator[None]:
    """Hold the write lock of the store; other writers are refused."""
    with closing(open_store(store_path(stack.settings))) as db:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            db.execute("ROLLBACK")


def _pace(stack: Stack, first: int, *, rate: int, seconds: int) -> int:
    with Worker(
        "bench.pace", "f2", "--port", stack.mqtt_port, "--devices", DEVICES, "--rate", rate,
        "--seconds", seconds, "--first", first, "--burst", BURST, "--timeout-s", 60,
    ) as pace:  # fmt: skip
        pace.wait_ready()
        pace.go()
        found = pace.result()
    require(not found["lost"], "connections were lost")
    return int(found["messages"])


def _first_commit(stack: Stack, waiting: int) -> float:
    """Wait until fewer messages wait; return the instant (Unix)."""
    with open_books(stack.settings) as read:
        wait_until(lambda: read().lag < waiting, timeout_s=30, what="a first commit")
    return time.time()
