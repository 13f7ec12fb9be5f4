"""How fast readings become rows on PostgreSQL: COPY, merge, and whole commits.

`python -m bench.postgres_rows [seconds] [timescale]`: a private server with every sync on, batches
of 10,000 readings of 10,000 series (1,000 with TimescaleDB, so that a compressed day has something
to compress). The rows are counted afterwards.
"""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import psycopg

from bench.checks import require
from millrace.adapters.ledger_postgres import PostgresLedger
from millrace.adapters.ledger_postgres.readings import columns_of, copy, merge, upsert
from millrace.model.work import Advance, Effects, Readings
from millrace.store_postgres.arrays import Array, ArrayDumper
from tests.servers.postgres import running_postgres
from tests.servers.stores import prepared

BATCH = 10_000
SERIES = 1_000 if "timescale" in sys.argv else 10_000
# A day that no policy has a reason to compress yet.
START_NS = time.time_ns() // 86_400_000_000_000 * 86_400_000_000_000


def batch(number: int, shift: float = 0.0) -> Readings:
    """Return the readings of one commit: every series once a second, values moved by `shift`."""
    series = np.arange(1, BATCH + 1, dtype=np.int64) % SERIES + 1
    steps = number * BATCH + np.arange(BATCH)
    return Readings(
        series=series,
        attr=np.ones(BATCH, np.int64),
        time_ns=START_NS + steps // SERIES * 1_000_000_000,
        value=np.round(np.random.default_rng(number).normal(20, 5, BATCH), 2) + shift,
        flags=np.zeros(BATCH, np.int16),
        received_at_ns=np.full(BATCH, START_NS),
        position=steps,
    )


def timed(seconds: float, step: Callable[[int], None]) -> tuple[float, int]:
    """Repeat a step; return readings a second, and the number of steps."""
    started, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < seconds:
        step(count)
        count += 1
    return count * BATCH / passed, count


def main() -> None:
    """Print one line a way."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    has_timescale = "timescale" in sys.argv
    settings = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
    if has_timescale:
        settings["shared_preload_libraries"] = "timescaledb"
    with running_postgres(settings=settings) as server:
        name = server.make_database()
        if has_timescale:
            server.ask("CREATE EXTENSION IF NOT EXISTS timescaledb", name)
        url = prepared(server.url(name))
        steps = measure_commits(url, seconds)
        with psycopg.connect(url) as db:
            db.adapters.register_dumper(Array, ArrayDumper)
            count = measure_rows(db, seconds, steps)
            if has_timescale:
                measure_compressed(db, count)


def measure_commits(url: str, seconds: float) -> int:
    """Measure whole commits of the ledger; return how many batches there are."""
    with closing(PostgresLedger(url)) as ledger:
        ledger.claim("process", "raw", [0])

        def commit(number: int) -> None:
            ledger.commit(effects(number))

        rate, steps = timed(seconds, commit)
        print(f"whole commits       {rate:12,.0f} rows/s")
    return steps


def measure_rows(db: psycopg.Connection[Any], seconds: float, steps: int) -> int:
    """Measure each way of writing rows; return how many batches there are."""

    def copied(number: int) -> None:
        copy(db, columns_of(batch(steps + number)))
        db.commit()

    rate, more = timed(seconds, copied)
    print(f"COPY                {rate:12,.0f} rows/s")
    have = steps + more

    def merged(number: int) -> None:
        merge(db, columns_of(batch(have + number)))
        db.commit()

    rate, most = timed(seconds, merged)
    print(f"merge of new rows   {rate:12,.0f} rows/s")

    def replaced(number: int) -> None:
        merge(db, columns_of(batch(number % have, shift=1.0)))
        db.commit()

    rate, _ = timed(seconds, replaced)
    print(f"merge of old rows   {rate:12,.0f} rows/s")

    def repeated(number: int) -> None:
        merge(db, columns_of(batch(have + number % most)))
        db.commit()

    rate, _ = timed(seconds, repeated)
    print(f"merge of same rows  {rate:12,.0f} rows/s")
    require(rows_in(db) == (have + most) * BATCH, "rows are missing")
    return have + most


def measure_compressed(db: psycopg.Connection[Any], batches: int) -> None:
    """Measure how small a compressed day is, and how fast late readings come into it."""
    size = "SELECT hypertable_size('readings')"
    before = db.execute(size.encode()).fetchone()
    db.execute("SELECT compress_chunk(c) FROM show_chunks('readings') c")
    db.commit()
    after = db.execute(size.encode()).fetchone()
    if before is None or after is None:
        raise RuntimeError("no size")
    rows = batches * BATCH
    print(f"bytes a row         {before[0] / rows:12,.1f} plain, {after[0] / rows:.1f} compressed")
    db.execute("SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0")
    for share, every in (("one series in a hundred", 100), ("every series", 1)):
        started, number = time.perf_counter(), 3
        for step in range(number):
            columns = columns_of(batch(step, shift=2.0))
            late = [column[::every] for column in columns]
            upsert(db, (late[0], late[1] + 1 + step, late[2], late[3], late[4]))
            db.commit()
        rate = number * BATCH / every / (time.perf_counter() - started)
        print(f"late, {share:23} {rate:9,.0f} rows/s")


def rows_in(db: psycopg.Connection[Any]) -> int:
    """Return how many readings there are."""
    row = db.execute("SELECT count(*) FROM readings").fetchone()
    return int(row[0]) if row else 0


def effects(number: int) -> Effects:
    """Return the effects of one commit."""
    advance = Advance(0, number * BATCH, (number + 1) * BATCH)
    return Effects("process", "raw", [advance], 1, START_NS, batch(number))


if __name__ == "__main__":
    main()
