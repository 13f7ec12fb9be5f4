"""The tables of readings on PostgreSQL, which have no counterpart in the embedded store.

`readings` is a hypertable where TimescaleDB is installed in the database, else a table partitioned
by days (`store_postgres.days`). The key gives a series its order in time; BRIN finds stretches of
time over all series for next to nothing. Roll-ups hold per series and minute, hour and day what
sealing has computed; `tend` keeps them.
`commits` has one row: the numbers that only grow. Who takes the next number of a commit holds its
row until the end of the transaction, so numbers appear in the order of commits and without gaps.
Beside them is when the last commit was made that the roll-ups have.
Source: D-23, F2-140 to F2-142; architecture.md 5.
"""

from typing import Any, Final

from psycopg import Connection

from millrace.errors import StopError

ROLL_UPS: Final = {"readings_1m": "minute", "readings_1h": "hour", "readings_1d": "day"}
LAYOUT_VERSION: Final = 1

_LOCK: Final = 0x6D72_0002
_READINGS: Final = """CREATE TABLE readings (
    series_id integer NOT NULL,
    time timestamptz NOT NULL,
    value double precision NOT NULL,
    flags smallint NOT NULL,
    attr_id integer NOT NULL,
    CONSTRAINT pk_readings PRIMARY KEY (series_id, time)
)"""
_TIME_INDEX: Final = "CREATE INDEX ix_readings_time ON readings USING brin (time)"
_COMMITS: Final = """CREATE TABLE commits (
    id smallint PRIMARY KEY CHECK (id = 1),
    layout smallint NOT NULL,
    last_id bigint NOT NULL DEFAULT 0,
    covered_id bigint NOT NULL DEFAULT 0,
    sealed_id bigint NOT NULL DEFAULT 0,
    rolled_until timestamptz NOT NULL DEFAULT '-infinity'
)"""
_ROLL_UP: Final = """CREATE TABLE {name} (
    series_id integer NOT NULL,
    bucket timestamptz NOT NULL,
    count bigint NOT NULL,
    sum double precision,
    min double precision NOT NULL,
    max double precision NOT NULL,
    attr_id integer NOT NULL,
    PRIMARY KEY (series_id, bucket)
)"""


def total(column: str, condition: str) -> str:
    """Return SQL that adds up a column, NULL unless `condition` holds and the sum is a double.

    PostgreSQL refuses a sum beyond the doubles. Scaled down by 2^64, which is exact, it never is.
    """
    scaled = f"sum({column} * 5.421010862427522e-20::double precision)"
    return (
        f"CASE WHEN {condition} AND abs({scaled}) < 9.745314011399998e288::double precision"
        f" THEN {scaled} * 18446744073709551616::double precision END"
    )


# A body with an escaped NUL is valid JSON that jsonb refuses; its labels are unknown then.
_LABELS: Final = """CREATE VIEW series_labels AS
    SELECT attr_id, body ->> 'connector_mode' AS connector_mode,
        body ->> 'component_type' AS component_type, body ->> 'component_id' AS component_id,
        body ->> 'pin' AS pin, body ? 'data_point_id' AS is_data_point,
        body ->> 'unit' AS unit, body ->> 'topic' AS topic
    FROM (SELECT attr_id, CASE WHEN body LIKE '%\\u0000%' THEN '{}'::jsonb ELSE body::jsonb END
        AS body FROM attributes) a"""
_NAMED: Final = """s.device_id, l.connector_mode,
        CASE WHEN l.is_data_point THEN s.metric ELSE coalesce(l.component_type, s.metric) END
        AS component_type,
        CASE WHEN l.is_data_point THEN coalesce(l.pin, '-1')
        WHEN l.component_id IS NOT NULL AND s.channel <> '' THEN l.component_id || '/' || s.channel
        ELSE coalesce(l.component_id, nullif(s.channel, ''), '-1') END AS pin_position"""
_OF_SERIES: Final = (
    "JOIN series s ON s.series_id = r.series_id LEFT JOIN series_labels l ON l.attr_id = r.attr_id"
)
_MEASUREMENTS: Final = f"""CREATE VIEW iot_measurements AS
    SELECT r.time AS timestamp, {_NAMED}, r.value, l.unit, l.topic
    FROM readings r {_OF_SERIES}"""  # noqa: S608 - composed of the texts above
# From an hour before the instant that roll-ups have come to, hours are told from the readings; so
# they are all there, however far `tend` is behind.
_ROLLED: Final = "(SELECT date_trunc('hour', rolled_until, 'UTC') - interval '1 hour' FROM commits)"
_HOURLY: Final = f"""CREATE VIEW iot_hourly_stats AS
    SELECT r.bucket, {_NAMED}, l.unit, r.sum / r.count AS avg, r.min, r.max, r.count
    FROM (
        SELECT series_id, bucket, count, sum, min, max, attr_id FROM readings_1h
        WHERE bucket < {_ROLLED}
        UNION ALL
        SELECT series_id, date_trunc('hour', time, 'UTC'), count(*), {total("value", "true")},
            min(value), max(value), (array_agg(attr_id ORDER BY time DESC))[1]
        FROM readings WHERE time >= {_ROLLED}
        GROUP BY 1, 2
    ) r {_OF_SERIES}"""  # noqa: S608 - composed of the texts above


def prepare_readings(db: Connection[Any]) -> bool:
    """Make the tables of readings if they are not there; return whether TimescaleDB keeps them.

    Idempotent: yes; two processes at the same time wait for each other.
    Raises:
        StopError: They were made by a release with another layout.
    """
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if not _exists(db, "commits"):
            _make(db)
        row = db.execute("SELECT layout FROM commits").fetchone()
        if row is None or row[0] != LAYOUT_VERSION:
            raise StopError(
                f"the tables of readings have layout {row and row[0]},"
                f" this release works on {LAYOUT_VERSION}",
                "run the release that made them, or a later one",
            )
        return has_chunks(db)


def has_chunks(db: Connection[Any]) -> bool:
    """Return whether TimescaleDB keeps the readings."""
    row = db.execute("SELECT relkind = 'r' FROM pg_class WHERE oid = 'readings'::regclass")
    found = row.fetchone()
    return bool(found and found[0])


def _make(db: Connection[Any]) -> None:
    has_timescale = (
        db.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").fetchone() is not None
    )
    db.execute(_READINGS if has_timescale else f"{_READINGS} PARTITION BY RANGE (time)")
    if has_timescale:
        db.execute(
            "SELECT create_hypertable('readings', 'time', chunk_time_interval => interval '1 day',"
            " create_default_indexes => false)"
        )
        db.execute(
            "ALTER TABLE readings SET (timescaledb.compress,"
            " timescaledb.compress_segmentby = 'series_id', timescaledb.compress_orderby = 'time')"
        )
        db.execute("SELECT add_compression_policy('readings', interval '7 days')")
    db.execute(_TIME_INDEX)
    db.execute(_COMMITS)
    # Frames are packed already; trying to compress them again costs time.
    db.execute("ALTER TABLE hot_batches ALTER COLUMN frame SET STORAGE EXTERNAL")
    db.execute("INSERT INTO commits (id, layout) VALUES (1, %s)", (LAYOUT_VERSION,))
    for name in ROLL_UPS:
        db.execute(_ROLL_UP.format(name=name).encode())
        # Retention goes by time alone.
        db.execute(f"CREATE INDEX ix_{name}_bucket ON {name} (bucket)".encode())
    for view in (_LABELS, _MEASUREMENTS, _HOURLY):
        db.execute(view.encode())


def _exists(db: Connection[Any], table: str) -> bool:
    row = db.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
    return bool(row and row[0])
