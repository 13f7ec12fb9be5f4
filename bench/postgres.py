"""A private PostgreSQL for comparison, where one is installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv

from bench.checks import CheckError
from tests.servers.accounts import reachable_folder
from tests.servers.postgres import Postgres, postgres_programs

# Durable as installed; the bound only keeps checkpoints out of a short measurement.
SETTINGS = {"max_wal_size": "8GB"}
TABLE = """
CREATE TABLE readings (series_id bigint NOT NULL, time timestamptz NOT NULL,
 value double precision NOT NULL, flags smallint NOT NULL, attr_id bigint NOT NULL,
 PRIMARY KEY (series_id, time))
"""


@contextmanager
def measured_postgres() -> Iterator[Postgres | None]:
    """Run a server with durable settings; None where none is installed."""
    programs: Path | None = postgres_programs()
    if programs is None:
        yield None
        return
    with reachable_folder("postgres") as folder:
        server = Postgres(programs, folder, settings=SETTINGS)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def size_of(server: Postgres, rows: pa.Table) -> int:
    """Return the bytes of heap and key that readings take, copied in as they arrived."""
    instants = rows["time_ns"].cast(pa.timestamp("ns")).cast(pa.timestamp("us", "UTC"))
    text = pa.BufferOutputStream()
    options = pacsv.WriteOptions(include_header=False)
    pacsv.write_csv(rows.set_column(1, "time", instants), text, options)
    with psycopg.connect(server.url(), autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS readings")
        db.execute(TABLE)
        with db.cursor() as cursor, cursor.copy("COPY readings FROM STDIN (FORMAT csv)") as copy:
            copy.write(text.getvalue().to_pybytes())
        db.execute("VACUUM (FREEZE) readings")
    [(got,)] = server.ask("SELECT count(*) FROM readings")
    if got != len(rows):
        raise CheckError(f"PostgreSQL holds {got:,} readings of {len(rows):,}")
    [(size,)] = server.ask("SELECT pg_total_relation_size('readings')")
    return int(size)
