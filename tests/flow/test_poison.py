"""What the ledger refuses for its contents costs one message, and never the stream (P7).

The ledger is the real one, with a trigger that stands for whatever a database may refuse.
Source: architecture.md 4: a failing batch is bisected; ADR 5.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pytest

from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.fleet_sql import SqlFleet
from millrace.adapters.ledger_sqlite import SqliteLedger
from millrace.adapters.log_memory import MemoryLog
from millrace.errors import RejectError, RetryError, StopError
from millrace.flow.pump import Pump, halves
from millrace.model.message import RawBatch
from millrace.model.partition import partition_of
from millrace.model.work import Advance, Committed, Effects
from millrace.settings import Settings
from millrace.store.sqlite import migrate
from millrace.store.tables import open_tables
from millrace.wiring.middle import build_middle
from tests.contracts.ledger import effects

POISON = "poison"
REFUSE_SERIES = (
    "CREATE TRIGGER refuse BEFORE INSERT ON series WHEN new.metric = 'poison'"
    " BEGIN SELECT raise(ABORT, 'no such metric here'); END"
)
AWAY_AFTER = 5


@dataclass
class Bench:
    """A log, a ledger file that refuses series named `poison`, and pumps over both."""

    path: Path
    stack: ExitStack
    log: MemoryLog = field(default_factory=lambda: MemoryLog(partitions=2))
    clock: ManualClock = field(default_factory=lambda: ManualClock(1_772_366_400_000_000_000))
    seq: int = 0

    def __post_init__(self) -> None:
        migrate(self.path)
        self.sql(REFUSE_SERIES)

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        with closing(apsw.Connection(str(self.path))) as db:
            return db.execute(text).fetchall()

    def send(self, *metrics: str, device: str = "m1") -> None:
        partition = partition_of(device, 2)
        batch = RawBatch(partition)
        for metric in metrics:
            body = {"seq": self.seq, "measurements": [{"type": metric, "val": self.seq}]}
            body |= {"msg_type": "telemetry", "ts": 1_772_366_400 + self.seq}
            batch.add(f"iot/{device}/telemetry", json.dumps(body).encode(), self.clock.now_ns())
            self.seq += 1
        self.log.append([batch])

    def pump(self, ledger: SqliteLedger | None = None) -> Pump:
        ledger = ledger or self.stack.enter_context(closing(SqliteLedger(self.path)))
        fleet = self.stack.enter_context(closing(SqlFleet(open_tables(self.path))))
        pump = Pump(
            log=self.log,
            ledger=ledger,
            fleet=fleet,
            middle=build_middle(Settings(), partitions=1),
            clock=self.clock,
        )
        pump.start(ledger.latest_pages())
        return pump

    def counts(self) -> dict[str, int]:
        rows = self.sql("SELECT outcome || ' ' || detail, count FROM counters ORDER BY 1")
        return {str(name): int(number) for name, number in rows}

    def rows(self) -> int:
        return int(self.sql("SELECT coalesce(sum(row_count), 0) FROM hot_batches")[0][0])


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path / "millrace.db", stack)


def test_p7_a_message_that_the_ledger_refuses_is_the_only_dead_letter(bench: Bench) -> None:
    bench.send(*["x"] * 37, POISON, *["x"] * 26)
    bench.send(*["x"] * 10, device="m2")
    assert bench.pump().drain() == 74
    assert bench.counts() == {"dead_letter store_rejected": 1, "stored telemetry": 73}
    assert bench.rows() == 73
    ((offset, reason, detail, payload),) = bench.sql(
        "SELECT log_offset, reason, detail, payload FROM dead_letters"
    )
    assert (offset, reason, detail) == (37, "store_rejected", "no such metric here")
    assert payload == bench.log.read(partition_of("m1", 2), 37, 1).payloads[0]  # type: ignore[union-attr]
    assert bench.pump().drain() == 0


def test_p7_several_bad_messages_in_one_batch(bench: Bench) -> None:
    bench.send(POISON, "x", "x", POISON, POISON, "x", device="m1")
    bench.send("x", POISON, device="m2")
    bench.pump().drain()
    assert bench.counts() == {"dead_letter store_rejected": 4, "stored telemetry": 4}


def test_p7_a_single_bad_message(bench: Bench) -> None:
    bench.send(POISON)
    pump = bench.pump()
    assert pump.drain() == 1
    bench.send("x")
    assert pump.drain() == 1
    assert bench.counts() == {"dead_letter store_rejected": 1, "stored telemetry": 1}


def test_p7_sequence_is_judged_once_however_a_batch_is_cut(bench: Bench) -> None:
    """A second judging would call every message a copy, and the gap would be found twice."""
    bench.send("x", "x", "x")
    bench.seq += 4
    bench.send("x", POISON, "x", "x")
    bench.seq -= 1
    bench.send("x")
    bench.pump().drain()
    assert bench.counts() == {
        "dead_letter store_rejected": 1,
        "duplicate seq": 1,
        "stored telemetry": 6,
    }
    gaps = bench.sql("SELECT data FROM events WHERE type = 'sequence_gap_opened'")
    assert [json.loads(data)["missing"] for (data,) in gaps] == [4]


def test_p7_state_is_written_behind_a_batch_that_came_in_parts(bench: Bench) -> None:
    pump = bench.pump()
    bench.send("x", POISON, "x")
    pump.drain()
    assert bench.sql("SELECT count(*) FROM snapshots") == [(0,)]
    pump.run_once()
    ((positions,),) = bench.sql("SELECT positions FROM snapshots WHERE kind = 'middle'")
    assert json.loads(positions)[str(partition_of("m1", 2))] == 3
    ((status,),) = bench.sql("SELECT connection_status FROM devices WHERE device_id = 'm1'")
    assert status == "online"
    bench.seq = 0
    bench.send("x", "x", "x")
    bench.pump().drain()
    assert bench.counts()["duplicate seq"] == 2, "the poison one had another payload"


class Away(SqliteLedger):
    """A ledger that is away once, after some commits."""

    calls = 0

    def commit(self, effects: Effects) -> Committed:
        self.calls += 1
        if self.calls == AWAY_AFTER:
            raise RetryError("away")
        return super().commit(effects)


def test_p7_an_outage_while_parts_are_committed_repeats_nothing(bench: Bench) -> None:
    bench.send(*["x"] * 8, POISON, *["x"] * 7)
    pump = bench.pump(bench.stack.enter_context(closing(Away(bench.path))))
    with pytest.raises(RetryError):
        pump.drain()
    assert 0 < bench.rows() < 15
    pump.drain()
    assert bench.counts() == {"dead_letter store_rejected": 1, "stored telemetry": 15}
    assert bench.rows() == 15


def test_p7_a_ledger_that_refuses_the_letter_too_stops_the_pump(bench: Bench) -> None:
    bench.sql(
        "CREATE TRIGGER letters BEFORE INSERT ON dead_letters"
        " BEGIN SELECT raise(ABORT, 'no letters'); END"
    )
    bench.send("x", POISON)
    with pytest.raises(StopError, match="its dead letter as well: store_rejected: no letters"):
        bench.pump().drain()
    assert bench.counts() == {"stored telemetry": 1}


@pytest.mark.parametrize("value", ["\ud800", 2**63])
def test_what_cannot_be_bound_is_refused_for_its_contents(bench: Bench, value: Any) -> None:
    ledger = bench.stack.enter_context(closing(SqliteLedger(bench.path)))
    ledger.claim("process", "raw", [0])
    work = effects(Advance(0, 0, 1))
    work.not_stored = [(0, 5), (0, value)]
    with pytest.raises(RejectError, match="store_rejected"):
        ledger.commit(work)
    assert bench.sql("SELECT count(*) FROM not_stored") == [(0,)]


def test_halves_keep_order_and_lose_nothing() -> None:
    batches = [RawBatch(0, 5), RawBatch(1, 9)]
    for batch, number in zip(batches, (3, 4), strict=True):
        for n in range(number):
            batch.add(f"t{batch.partition}{n}", b"", 0)
    first, second = halves(batches)
    assert [(b.first_offset, b.topics) for b in first] == [(5, ["t00", "t01", "t02"])]
    assert [(b.first_offset, b.topics) for b in second] == [(9, ["t10", "t11", "t12", "t13"])]
    first, second = halves(second)
    assert [(b.first_offset, len(b)) for b in (*first, *second)] == [(9, 2), (11, 2)]
