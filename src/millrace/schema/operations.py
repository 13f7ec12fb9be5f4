"""Configuration, commands, alerts and firmware of devices.

Source: REG-030 to REG-039, REG-071 to REG-073.
"""

from millrace.schema.columns import (
    NOW,
    at,
    big,
    blob,
    boolean,
    check,
    devid,
    enum,
    hexes,
    ident,
    index,
    integer,
    json,
    real,
    table,
    text,
    unique,
    uuid,
)

# REG-030
device_configs = table(
    "device_configs",
    ident(),
    devid(required=True, to="devices.device_id", on_delete="CASCADE"),
    text("config_key", 255, required=True),
    text("config_value", 65_536),
    uuid("cmd_id"),
    at("created_at", required=True, default=NOW),
    at("updated_at", required=True, default=NOW),
    unique("uq_device_configs_device_id_config_key", "device_id", "config_key"),
)

# REG-031
device_commands = table(
    "device_commands",
    ident(),
    uuid("cmd_id", required=True, unique=True),
    devid(required=True, to="devices.device_id", on_delete="CASCADE"),
    text("cmd", 100, required=True),
    json("params", required=True, default="{}"),
    text("ack_detail", 1024),
    at("created_at", required=True, default=NOW),
    at("published_at"),
    at("acked_at"),
    integer("timeout_s", required=True, default=60),
    enum(
        "status",
        "pending",
        "published",
        "accepted",
        "rejected",
        "error",
        "unsupported",
        "timeout",
        "unconfirmed",
        required=True,
        default="pending",
    ),
    integer("attempts", required=True, default=0),
    text("created_by", 128),
    big("campaign_id", to="ota_campaigns.id", on_delete="SET NULL"),
    index("device_id", "created_at"),
    index("status", "created_at"),
    check("timeout_s_range", "timeout_s between 1 and 86400"),
)

# REG-032
device_alerts = table(
    "device_alerts",
    ident(),
    devid(required=True, to="devices.device_id", on_delete="CASCADE"),
    text("alert_type", 100, required=True, default="general"),
    text("severity", 50, required=True, default="info"),
    text("message", 4096, required=True, default=""),
    big("rule_id", to="alert_rules.rule_id", on_delete="SET NULL"),
    real("value"),
    text("threshold", 50),
    enum("status", "open", "resolved", required=True, default="open"),
    text("resolution", 50),
    integer("count", required=True, default=1),
    json("details", required=True, default="{}"),
    text("dedupe_key", 200),
    boolean("acknowledged", required=True, default=False),
    at("acknowledged_at"),
    text("acknowledged_by", 128),
    at("last_at"),
    at("started_at", required=True, default=NOW),
    at("resolved_at"),
    at("created_at", required=True, default=NOW),
    unique(
        "uq_device_alerts_device_id_dedupe_key",
        "device_id",
        "dedupe_key",
        where="status = 'open' and dedupe_key is not null",
    ),
    index("device_id", "created_at"),
    index("acknowledged", "created_at"),
)

# REG-033
alert_rules = table(
    "alert_rules",
    ident("rule_id"),
    text("name", 255, unique=True),
    boolean("enabled", required=True, default=True),
    enum(
        "kind",
        "threshold",
        "rate",
        "absence",
        "anomaly",
        "expression",
        required=True,
        default="threshold",
    ),
    text("device_type", 100),
    devid(to="devices.device_id", on_delete="CASCADE"),
    text("group_path", 255, required=True, default="/"),
    text("metric_name", 100, required=True),
    real("threshold_min"),
    real("threshold_max"),
    real("hysteresis"),
    integer("for_s", required=True, default=0),
    text("alert_type", 100),
    enum("severity", "info", "warning", "critical", required=True, default="warning"),
    text("expression", 2000),
    json("params", required=True, default="{}"),
    at("created_at", required=True, default=NOW),
    at("updated_at", required=True, default=NOW),
    check(
        "threshold_given",
        "kind <> 'threshold' or coalesce(threshold_min, threshold_max) is not null",
    ),
    check("threshold_order", "threshold_min <= threshold_max"),
    check("expression_given", "kind <> 'expression' or expression is not null"),
    check("for_s_range", "for_s between 0 and 86400"),
    check("hysteresis_range", "hysteresis >= 0"),
)

# REG-034
alert_state = table(
    "alert_state",
    big("rule_id", key=True, to="alert_rules.rule_id", on_delete="CASCADE"),
    devid(key=True, to="devices.device_id", on_delete="CASCADE"),
    big("open_alert_id", to="device_alerts.id", on_delete="SET NULL"),
    at("last_time"),
    json("state", required=True, default="{}"),
    at("updated_at", required=True, default=NOW),
)

# REG-035
device_seq_tracking = table(
    "device_seq_tracking",
    devid(key=True, to="devices.device_id", on_delete="CASCADE"),
    big("last_seq", required=True, default=-1),
    big("epoch", required=True, default=0),
    big("gap_count", required=True, default=0),
    big("duplicates", required=True, default=0),
    big("resets", required=True, default=0),
    at("last_ts"),
    json("state", required=True, default="{}"),
    at("updated_at", required=True, default=NOW),
    check("last_seq_range", "last_seq between -1 and 4294967295"),
)

# REG-036
firmware = table(
    "firmware",
    ident(),
    text("device_type", 100, required=True),
    text("version", 50, required=True),
    text("min_version", 50),
    text("file_name", 255, required=True),
    big("size_bytes", required=True),
    hexes("sha256", 64, required=True),
    blob("signature", 1024, required=True),
    text("signing_key_id", 64, required=True),
    text("archive_key", 255, required=True),
    text("notes", 4000, required=True, default=""),
    big("uploaded_by", to="users.id", on_delete="SET NULL"),
    at("withdrawn_at"),
    at("created_at", required=True, default=NOW),
    unique("uq_firmware_device_type_version", "device_type", "version"),
    check("size_bytes_range", "size_bytes between 1 and 1073741824"),
)

# REG-037
ota_campaigns = table(
    "ota_campaigns",
    ident(),
    text("name", 255, required=True, unique=True),
    big("firmware_id", required=True, to="firmware.id", on_delete="RESTRICT"),
    enum("state", "draft", "running", "paused", "done", "aborted", required=True, default="draft"),
    json("selector", required=True, default="{}"),
    integer("batch_size", required=True, default=10),
    integer("max_failed_pct", required=True, default=10),
    big("created_by", to="users.id", on_delete="SET NULL"),
    at("created_at", required=True, default=NOW),
    at("started_at"),
    at("finished_at"),
    check("batch_size_range", "batch_size between 1 and 1000"),
    check("max_failed_pct_range", "max_failed_pct between 0 and 100"),
)

# REG-038
ota_updates = table(
    "ota_updates",
    ident(),
    devid(required=True, to="devices.device_id", on_delete="CASCADE"),
    text("cmd_id", 128),
    big("campaign_id", to="ota_campaigns.id", on_delete="SET NULL"),
    text("fw_version_target", 50),
    enum("state", "downloading", "verifying", "applying", "success", "failed"),
    integer("progress_pct"),
    enum(
        "outcome",
        "waiting",
        "requested",
        "in_progress",
        "confirmed",
        "failed",
        "unconfirmed",
        "skipped",
        required=True,
        default="requested",
    ),
    text("detail", 1024),
    at("created_at", required=True, default=NOW),
    at("updated_at", required=True, default=NOW),
    unique("uq_ota_updates_device_id_cmd_id", "device_id", "cmd_id", where="cmd_id is not null"),
    unique(
        "uq_ota_updates_campaign_id_device_id",
        "campaign_id",
        "device_id",
        where="campaign_id is not null",
    ),
    check("progress_pct_range", "progress_pct between 0 and 100"),
)

# REG-039
ota_history = table(
    "ota_history",
    ident(),
    big("ota_update_id", required=True, to="ota_updates.id", on_delete="CASCADE"),
    at("received_at", required=True),
    enum("state", "downloading", "verifying", "applying", "success", "failed", required=True),
    integer("progress_pct"),
    text("detail", 1024),
)
