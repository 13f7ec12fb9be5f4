"""What the pipeline writes down about itself.

Source: REG-040 to REG-043, REG-074 to REG-076.
"""

from millrace.schema.columns import (
    NOW,
    at,
    big,
    blob,
    check,
    enum,
    ident,
    index,
    integer,
    json,
    table,
    text,
    unique,
)

# REG-040
registry_version = table(
    "registry_version",
    integer("id", key=True, default=1),
    big("version", required=True, default=1),
    at("changed_at", required=True, default=NOW),
    check("single_row", "id = 1"),
)

# REG-041
positions = table(
    "positions",
    text("reader", 64, key=True),
    text("stream", 64, key=True),
    integer("partition_no", key=True),
    big("next_offset", required=True, default=0),
    big("epoch", required=True, default=0),
    at("updated_at", required=True, default=NOW),
    check("next_offset_range", "next_offset >= 0"),
    check("partition_no_range", "partition_no >= 0"),
)

# REG-042
dead_letters = table(
    "dead_letters",
    ident(),
    text("family", 16, required=True),
    text("stream", 64, required=True),
    integer("partition_no", required=True),
    big("log_offset", required=True),
    text("element", 255, required=True, default=""),
    integer("element_index"),
    text("reason", 64, required=True),
    text("detail", 1000, required=True, default=""),
    at("received_at", required=True),
    text("device_id", 255),
    text("topic", 1024, required=True),
    blob("payload", 2_097_152),
    big("size_bytes", required=True),
    enum("status", "open", "redriven", "discarded", required=True, default="open"),
    integer("redrive_count", required=True, default=0),
    at("resolved_at"),
    text("resolved_by", 128),
    text("comment", 1000),
    unique(
        "uq_dead_letters_stream_partition_no_log_offset_element_reason",
        "stream",
        "partition_no",
        "log_offset",
        "element",
        "reason",
    ),
    index("status", "reason", "received_at"),
    index("device_id", "received_at"),
)

# REG-043
outbox = table(
    "outbox",
    ident(),
    text("dedupe_key", 200, required=True, unique=True),
    enum("channel", "alert", "command", "live", "series", required=True),
    text("device_id", 128),
    json("payload", required=True),
    enum("state", "pending", "leased", "done", "dead", required=True, default="pending"),
    integer("attempts", required=True, default=0),
    at("available_at", required=True, default=NOW),
    text("leased_by", 64),
    at("lease_until"),
    text("last_error", 500),
    at("created_at", required=True, default=NOW),
    at("done_at"),
    index("channel", "state", "available_at"),
)
