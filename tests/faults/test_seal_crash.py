"""F4: kill -9 during sealing; whoever asks sees every row exactly once, at any time.

One process seals, merges and tidies up as fast as it can and is killed again and again, at named
steps and at random ones. Meanwhile readings are committed to the same ledger and counted.
"""

import os
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from random import Random

import pytest

from millrace.adapters.hot_sqlite import SqliteHotReadings
from millrace.adapters.ledger_sqlite import SqliteLedger
from millrace.adapters.series_delta import DeltaQuery, DeltaSeries
from millrace.adapters.series_delta.bucket import BucketStorage
from millrace.model.work import Advance, Effects, LatestPage, LatestPages
from millrace.ports.series import Span
from millrace.store.sqlite import migrate
from tests.contracts.hot_memory import ALWAYS, DAY_NS, START_NS, readings, rows_of
from tests.servers.s3 import options_of, running_moto

CHILD = Path(__file__).with_name("seal_child.py")
ROOT = Path(__file__).parents[2]
SERIES = list(range(1, 6))
STEPS = [
    "seal_before_commit", "seal_after_commit", "seal_while_forgetting", "compact_before_commit",
]  # fmt: skip


class Rig:
    """A ledger that is written here, sealed by a child, and asked here."""

    def __init__(self, folder: Path, endpoint: str = "") -> None:
        self.path = folder / "millrace.db"
        self.root = folder / "series"
        self.endpoint = endpoint
        migrate(self.path)
        self.ledger = SqliteLedger(self.path)
        self.ledger.claim("process", "raw", [0])
        self.query = DeltaQuery(self.place(), SqliteHotReadings(self.path))
        self.committed = 0
        self.offset = 0

    def place(self) -> Path | BucketStorage:
        """Return where the table is; each asker has copies of its own."""
        if not self.endpoint:
            return self.root
        return BucketStorage(options_of(self.endpoint), self.root.with_name("copies"))

    def commit(self) -> None:
        """Commit one reading per series; number n is the value of the reading at second n."""
        number = self.committed
        time_ns = START_NS - (number % 3) * DAY_NS + number * 1_000_000_000
        rows = [(one, time_ns, float(number), 0, 1) for one in SERIES]
        # The ledger forgets no batch that its latest values are not complete to.
        latest = LatestPages(number, [LatestPage(0, b"")], {0: self.offset})
        self.ledger.commit(
            Effects(
                "process", "raw", [Advance(0, self.offset, self.offset + 1)],
                registry_version=1, now_ns=1, readings=readings(rows), latest=latest,
            )
        )  # fmt: skip
        self.offset += 1
        self.committed += 1

    def check(self) -> None:
        """Every reading committed so far is there once, with its value."""
        newest = self.query.refresh()
        assert newest == self.committed
        found = rows_of(self.query.raw(SERIES, ALWAYS, limit=100_000))
        assert len(found) == len(SERIES) * self.committed
        assert sorted(row[2] for row in found if row[0] == 3) == list(map(float, range(newest)))
        counts = self.query.summary(SERIES).column("count").to_pylist()
        assert counts == [newest] * len(SERIES) * bool(newest)

    def start(self, crash_at: str = "") -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [
                sys.executable,
                str(CHILD),
                "seal",
                str(self.path),
                str(self.root),
                *([self.endpoint] if self.endpoint else []),
            ],
            env={**os.environ, "CRASH_AT": crash_at, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        )


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.mark.parametrize("step", STEPS)
def test_f4_killed_at_each_step_every_row_is_seen_once(rig: Rig, step: str) -> None:
    kill_at(rig, step, 1, 2)


@pytest.mark.services
@pytest.mark.parametrize("step", STEPS)
def test_f4_in_a_bucket_every_row_is_seen_once(tmp_path: Path, step: str) -> None:
    # Not rclone: it answers ranges with 200, and a checkpoint of the table is read in ranges.
    with running_moto(tmp_path / "s3") as server:
        kill_at(Rig(tmp_path, server.endpoint), step, 2)


def kill_at(rig: Rig, step: str, *arrivals: int) -> None:
    """Kill one child after the other at its n-th arrival at a step, and count all the while."""
    for _ in range(60):
        rig.commit()
    for number in arrivals:
        child = rig.start(f"{step}:{number}")
        deadline = time.monotonic() + 20
        while child.poll() is None and time.monotonic() < deadline:
            if rig.committed < 200:
                rig.commit()
            rig.check()
        child.kill()
        assert child.wait() == -9
        assert time.monotonic() < deadline
        rig.check()
    writer = DeltaSeries(rig.place())
    writer.compact(START_NS + 40 * DAY_NS)
    rig.check()
    assert writer.sealed_through() > 0


@pytest.mark.slow
def test_f4_killed_anywhere_every_row_is_seen_once(rig: Rig) -> None:
    random = Random(11)
    for _ in range(6):
        child = rig.start()
        end = time.monotonic() + random.uniform(0.9, 1.8)
        for _ in count():
            rig.commit()
            rig.check()
            if time.monotonic() > end:
                break
        child.kill()
        child.wait()
        rig.check()
    assert DeltaSeries(rig.root).sealed_through() > 0
    span = Span(START_NS, START_NS + DAY_NS)
    assert rig.query.raw([1], span, limit=100_000).num_rows > 0
