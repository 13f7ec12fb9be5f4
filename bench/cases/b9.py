"""B9: what a device costs that is connected and says nothing, and how fast connections are taken.

Memory is the growth of the edge process since before the first connection; the levels stand on each
other. After each level every connection of it pings once and must be answered.
"""

import time
from contextlib import ExitStack

from bench.bench import Bench, raise_open_files
from bench.certificate import make_certificate
from bench.checks import require
from bench.process import Worker
from bench.report import at_least, at_most
from bench.stack import Stack

LEVELS = (1_000, 5_000, 10_000)
QUICK_LEVELS = (500, 1_000)
SETTLE_S = 1.0
SPARE_FILES = 500


def run(bench: Bench) -> None:
    """Measure plain connections on one stack, those with TLS on another."""
    levels: tuple[int, ...] = QUICK_LEVELS if bench.is_quick else LEVELS
    open_files = raise_open_files()
    if open_files < levels[-1] + SPARE_FILES:
        levels = tuple(level for level in levels if level + SPARE_FILES <= open_files)
        bench.row("connections", None, note=f"only {open_files:,} open files are allowed")
    _measure(bench, levels, is_tls=False)
    # A handshake costs the client as much as the server, on the same two cores.
    _measure(bench, levels[:2], is_tls=True)


def _measure(bench: Bench, levels: tuple[int, ...], *, is_tls: bool) -> None:
    name = "TLS" if is_tls else "plain"
    folder = bench.folder(name)
    stack = Stack(folder, certificate=make_certificate(folder) if is_tls else None)
    words = ("--tls", "--port", stack.tls_port) if is_tls else ("--port", stack.mqtt_port)
    most_kb, least_rate = (80, 300) if is_tls else (12, 2_000)
    with stack, ExitStack() as held:
        # The first connections load code and fill pools; they are not what a device costs.
        _closed(Worker("bench.idle", "--count", 100, "--first", 99, *words))
        before = stack.usage().rss_bytes["edge"]
        have, workers = 0, []
        for level in levels:
            worker = held.enter_context(
                Worker("bench.idle", "--count", level - have, "--first", have, *words)
            )
            worker.wait_ready()
            time.sleep(SETTLE_S)
            now = stack.usage().rss_bytes["edge"]
            bench.detail(f"edge before and at {level:,}, {name}", [before, now])
            each_kb = (now - before) / level / 1000
            bench.row(f"{level:,} idle connections, {name}", each_kb, "KB each", at_most(most_kb))
            workers.append((level - have, worker))
            have = level
        rates = []
        for count, worker in workers:
            worker.go()
            found = worker.result()
            require(found["accepted"] == count, f"{found['accepted']} of {count} were accepted")
            require(found["alive"] == count, f"{found['alive']} of {count} were still there")
            rates.append(count / found["seconds"])
    bench.detail(f"accepted a second, {name}", rates)
    total = sum(count for count, _ in workers)
    rate = total / sum(count / r for (count, _), r in zip(workers, rates, strict=True))
    bench.row(f"connections accepted, {name}", rate, "/s", at_least(least_rate))


def _closed(worker: Worker) -> None:
    with worker:
        worker.wait_ready()
        worker.go()
        worker.result()
