"""Tables of the ledger that are not in the registry's documentation.

They live in the same database, so that effects and position are one transaction.
Source: D-10, D-20, D-21, D-23, D-54; REG-041, REG-042 are in `schema.registry`.
"""

import sqlalchemy as sa

from millrace.schema.registry import metadata

# Ids that count commits and events outgrow 32 bits; SQLite's integers never do.
_COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

series = sa.Table(
    "series",
    metadata,
    sa.Column("series_id", sa.Integer, primary_key=True),
    sa.Column("device_id", sa.Text, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False, server_default=""),
    sa.Column("unit", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.UniqueConstraint("device_id", "metric", "channel", name="uq_series_key"),
)

attributes = sa.Table(
    "attributes",
    metadata,
    sa.Column("attr_id", sa.Integer, primary_key=True),
    sa.Column("body", sa.Text, nullable=False, unique=True),
)

# One row per commit that wrote readings. Ids only grow; a sealed batch is deleted.
hot_batches = sa.Table(
    "hot_batches",
    metadata,
    sa.Column("id", _COUNT, primary_key=True, autoincrement=True),
    sa.Column("committed_at_ns", sa.BigInteger, nullable=False),
    sa.Column("row_count", sa.Integer, nullable=False),
    sa.Column("frame", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", _COUNT, primary_key=True, autoincrement=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("device_id", sa.Text, nullable=False),
    sa.Column("family", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("time_ns", sa.BigInteger, nullable=False),
    sa.Column("received_at_ns", sa.BigInteger, nullable=False),
    sa.Column("flags", sa.Integer, nullable=False, server_default="0"),
    sa.Column("data", sa.Text, nullable=False, server_default="{}"),
    sa.Index("ix_events_device", "device_id", "time_ns"),
    sqlite_autoincrement=True,
)

# Outcomes per family (MON-030), committed with the positions.
counters = sa.Table(
    "counters",
    metadata,
    sa.Column("outcome", sa.Text, primary_key=True),
    sa.Column("family", sa.Text, primary_key=True),
    sa.Column("detail", sa.Text, primary_key=True, server_default=""),
    sa.Column("count", sa.BigInteger, nullable=False, server_default="0"),
)

# Newest value of 4,096 consecutive series ids; complete as of hot batch `through_id`.
latest_pages = sa.Table(
    "latest_pages",
    metadata,
    sa.Column("page", sa.Integer, primary_key=True),
    sa.Column("through_id", _COUNT, nullable=False),
    sa.Column("frame", sa.LargeBinary, nullable=False),
)

# By partition, as JSON. Kind `middle`: up to where its packed state is complete; what follows is
# re-read from the log. Kind `registration`: the pace of new registry rows. Kind `latest`: up to
# which commit and offset latest_pages have the readings.
snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("reader", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("positions", sa.Text, nullable=False),
)

# Packed sequence window of one device; the visible columns are in device_seq_tracking.
sequence_states = sa.Table(
    "sequence_states",
    metadata,
    sa.Column("device_id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("packed", sa.LargeBinary, nullable=False),
)

# Messages that the archive leaves out: duplicates, and dead letters, which keep their own bytes.
# Rows are dropped once the archive has passed them.
not_stored = sa.Table(
    "not_stored",
    metadata,
    sa.Column("partition_no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("log_offset", sa.BigInteger, primary_key=True, autoincrement=False),
)

# Messages that are about to become archive objects; at most one intent a partition.
archive_intents = sa.Table(
    "archive_intents",
    metadata,
    sa.Column("partition_no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("first_offset", sa.BigInteger, nullable=False),
    sa.Column("last_offset", sa.BigInteger, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
)
