"""How fast readings become rows on PostgreSQL: COPY, merge, and whole commits.

`python -m bench.postgres_rows [seconds]`: a private server with every sync on, batches of 10,000
readings of 10,000 series. The same rows are counted afterwards.
"""

import sys
import time
from collections.abc import Callable
from contextlib import closing

import numpy as np
import psycopg

from bench.checks import require
from millrace.adapters.ledger_postgres import PostgresLedger
from millrace.adapters.ledger_postgres.readings import columns_of, copy, merge
from millrace.model.work import Advance, Effects, Readings
from millrace.store_postgres.arrays import Array, ArrayDumper
from tests.servers.postgres import running_postgres
from tests.servers.stores import prepared

BATCH = 10_000
SERIES = 10_000
START_NS = 1_772_366_400_000_000_000


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
    with running_postgres(settings={"shared_buffers": "512MB", "max_wal_size": "4GB"}) as server:
        url = server.url(server.make_database())
        prepared(url)
        with closing(PostgresLedger(url)) as ledger:
            ledger.claim("process", "raw", [0])

            def commit(number: int) -> None:
                ledger.commit(effects(number))

            rate, steps = timed(seconds, commit)
            print(f"whole commits       {rate:12,.0f} rows/s")
        with psycopg.connect(url) as db:
            db.adapters.register_dumper(Array, ArrayDumper)

            def copied(number: int) -> None:
                copy(db, columns_of(batch(steps + number)))
                db.commit()

            def merged(number: int) -> None:
                merge(db, columns_of(batch(steps + more + number)))
                db.commit()

            def replaced(number: int) -> None:
                merge(db, columns_of(batch(number % (steps + more), shift=1.0)))
                db.commit()

            def repeated(number: int) -> None:
                merge(db, columns_of(batch(steps + more + number % most)))
                db.commit()

            rate, more = timed(seconds, copied)
            print(f"COPY                {rate:12,.0f} rows/s")
            rate, most = timed(seconds, merged)
            print(f"merge of new rows   {rate:12,.0f} rows/s")
            rate, _ = timed(seconds, replaced)
            print(f"merge of old rows   {rate:12,.0f} rows/s")
            rate, _ = timed(seconds, repeated)
            print(f"merge of same rows  {rate:12,.0f} rows/s")
            found = db.execute("SELECT count(*), pg_relation_size('readings') FROM readings")
            row = found.fetchone()
            require(row is not None and row[0] == (steps + more + most) * BATCH, f"rows: {row}")


def effects(number: int) -> Effects:
    """Return the effects of one commit."""
    advance = Advance(0, number * BATCH, (number + 1) * BATCH)
    return Effects("process", "raw", [advance], 1, START_NS, batch(number))


if __name__ == "__main__":
    main()
