"""B12: a raw log carried through decode and ledger again: by one process, then by two.

Each of the two has half of the partitions and a ledger shard of its own (D-03).
"""

import shutil
from pathlib import Path
from typing import Any

from bench.bench import Bench
from bench.checks import check_readings, require, rows
from bench.fleet import add_f2
from bench.process import Worker
from bench.raw_log import write_raw_log
from bench.report import at_least
from bench.sources import SECOND_NS, f2_expected
from millrace.settings import Settings
from millrace.wiring.places import store_path
from millrace.wiring.setup import prepare

DEVICES = 1000
STORED = "SELECT coalesce(sum(count), 0) FROM counters WHERE outcome = 'stored'"
OTHERS = "SELECT coalesce(sum(count), 0) FROM counters WHERE outcome <> 'stored'"


def run(bench: Bench) -> None:
    """Write the log once, replay it whole, replay it in halves."""
    folder, each = bench.folder("b12"), bench.size(500, 60)
    source = Settings(data=folder / "source")
    prepare(source, demo=True)
    add_f2(source, DEVICES)
    messages = write_raw_log(source, "f2", devices=DEVICES, each=each)
    partitions = source.log.partitions
    whole, (one,) = _replay(source, folder, "whole", [(0, partitions)])
    expected = f2_expected(DEVICES, each)
    check_readings(Settings(data=folder / "whole-0"), expected, every_ns=SECOND_NS)
    half = partitions // 2
    halves, both = _replay(source, folder, "half", [(0, half), (half, partitions - half)])
    for count in (one["messages"], sum(found["messages"] for found in both)):
        require(count == messages, f"{count:,} messages were carried, not {messages:,}")
    bench.detail("one process", one)
    bench.detail("two processes", both)
    bench.row("one process", whole, "msg/s", at_least(150_000))
    bench.row("  processor", 1e6 * one["cpu_s"] / messages, "µs/msg")
    bench.row("two partition ranges, two processes", halves, "msg/s")
    bench.row("  over one process", halves / whole, "times", at_least(1.7))


def _replay(
    source: Settings, folder: Path, name: str, ranges: list[tuple[int, int]]
) -> tuple[float, list[dict[str, Any]]]:
    """Carry ranges of partitions at the same time; return messages a second, and all reports."""
    shards = []
    for number in range(len(ranges)):
        shard = Settings(data=folder / f"{name}-{number}")
        shard.data.mkdir()
        shutil.copy(store_path(source), store_path(shard))
        shards.append(shard)
    workers = [
        Worker(
            "bench.replay", "--data", shard.data, "--log", source.urls()["log"],
            "--first", first, "--count", count,
        )
        for shard, (first, count) in zip(shards, ranges, strict=True)
    ]  # fmt: skip
    try:
        for worker in workers:
            worker.wait_ready()
        for worker in workers:
            worker.go()
        found = [worker.result() for worker in workers]
    finally:
        for worker in workers:
            worker.end()
    stored = sum(rows(shard, STORED)[0][0] for shard in shards)
    others = sum(rows(shard, OTHERS)[0][0] for shard in shards)
    messages = sum(one["messages"] for one in found)
    require((stored, others) == (messages, 0), f"{stored:,} stored and {others:,} not")
    seconds = max(one["ended"] for one in found) - min(one["started"] for one in found)
    return messages / seconds, found
