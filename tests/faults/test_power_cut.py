"""F7: the power goes at any instant; what log and ledger have answered for is there afterwards.

One run of a log or a ledger is cut at many instants. Between two syncs anything may have reached
the disk or not, in any order, and the last piece may be torn.
"""

from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random

import apsw
import pytest

from millrace.adapters.ledger_sqlite import SqliteLedger
from millrace.adapters.log_sqlite import SqliteLog, SqliteLogReader
from millrace.model.event import Event
from millrace.model.series import SeriesKey
from millrace.model.work import Advance, EventRow, NewSeries, Tally
from millrace.store.sqlite import migrate
from tests.contracts.ledger import NOW, effects, readings
from tests.faults.log_writer import PARTITIONS, append_some, payload_at
from tests.faults.power import Disk, recorded_disk, restore

CUTS = 80
APPENDS = 60
COMMITS = 40


def cut_points(disk: Disk, first: int, rng: Random) -> list[int]:
    """Return instants at which the power goes: spread over the run, and beside every sync."""
    syncs = [n for n, step in enumerate(disk.steps) if step.kind == "sync" and n >= first]
    beside = [n + shift for n in syncs for shift in (0, 1)]
    return sorted(
        {*rng.sample(beside, min(len(beside), CUTS // 2)), len(disk.steps)}
        | {rng.randint(first, len(disk.steps)) for _ in range(CUTS // 2)}
    )


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(3))
def test_f7_p1_what_the_log_has_taken_outlives_a_power_cut(seed: int, tmp_path: Path) -> None:
    rng = Random(seed)
    folder = tmp_path / "log"
    told: list[tuple[int, list[int], bytes]] = []
    with recorded_disk() as disk:
        with closing(SqliteLog(folder, partitions=PARTITIONS, wal_limit_bytes=1 << 15)) as log:
            for _ in range(APPENDS):
                ends = append_some(log, rng)
                told.append((len(disk.steps), ends, (folder / "MARKS").read_bytes()))
        disk.is_recording = False
        for number, at in enumerate(cut_points(disk, told[0][0], rng)):
            target = tmp_path / f"cut-{number}"
            restore(disk.after_a_power_cut(at, rng), folder, target)
            answered = [(ends, marks) for step, ends, marks in told if step <= at]
            # Marks are never synced: any that were written before may be the ones on the disk.
            (target / "MARKS").write_bytes(rng.choice(answered)[1])
            assert_has(target, answered[-1][0])


def assert_has(folder: Path, ends: list[int]) -> None:
    """The log opens, holds at least these messages, and nothing that was never sent."""
    with closing(SqliteLog(folder, partitions=PARTITIONS)) as log:
        found = [extent.end for extent in log.extents()]
        assert all(have >= told for have, told in zip(found, ends, strict=True)), (found, ends)
        with closing(SqliteLogReader(folder)) as reader:
            for partition, end in enumerate(found):
                offset = 0
                while offset < end:
                    batch = reader.read(partition, offset, 1_000)
                    assert batch is not None
                    for payload in batch.payloads:
                        assert payload == payload_at(partition, offset)
                        offset += 1
        append_some(log, Random(0))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(3))
def test_f7_p4_a_commit_of_the_ledger_is_there_as_a_whole_or_not_at_all(
    seed: int, tmp_path: Path
) -> None:
    rng = Random(seed)
    source = tmp_path / "store"
    told: list[tuple[int, int]] = []
    with recorded_disk() as disk:
        migrate(source / "millrace.db")
        first = len(disk.steps)
        with closing(SqliteLedger(source / "millrace.db")) as ledger:
            ledger.claim("process", "raw", [0])
            told.append((len(disk.steps), 0))
            for offset in range(COMMITS):
                commit(ledger, offset)
                told.append((len(disk.steps), offset + 1))
                if rng.random() < 0.1:
                    ledger._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        disk.is_recording = False
        for number, at in enumerate(cut_points(disk, first, rng)):
            target = tmp_path / f"cut-{number}"
            restore(disk.after_a_power_cut(at, rng), source, target)
            answered = max((offset for step, offset in told if step <= at), default=0)
            assert_whole(target / "millrace.db", answered)


def commit(ledger: SqliteLedger, offset: int) -> None:
    """Commit one message: three readings of a series of its own, an event, a count."""
    work = effects(Advance(0, offset, offset + 1), rows=readings([-1, -1, -1]))
    work.new_series = [NewSeries(SeriesKey(f"d{offset}", "m", ""), None)]
    work.new_attributes = ["{}"]
    work.events = [EventRow(Event("hello", "d", NOW, {"n": offset}), "meter", offset, NOW)]
    work.counts = Counter({Tally("stored", "meter", "hello"): 1})
    ledger.commit(work)


def assert_whole(path: Path, answered: int) -> None:
    """Position, readings, series, events and counts speak of the same number of commits."""
    with closing(apsw.Connection(str(path))) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        numbers = db.execute(
            "SELECT (SELECT coalesce(max(next_offset), 0) FROM positions),"
            " (SELECT coalesce(sum(row_count), 0) FROM hot_batches),"
            " (SELECT count(*) FROM series), (SELECT count(*) FROM events),"
            " (SELECT coalesce(sum(count), 0) FROM counters)"
        ).fetchall()
    position, rows, series, events, count = map(int, map(str, numbers[0]))
    assert position >= answered
    assert (rows, series, events, count) == (3 * position, position, position, position)
