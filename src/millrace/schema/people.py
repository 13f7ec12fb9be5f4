"""Who may do what, and who did.

Source: REG-050 to REG-054.
"""

from millrace.schema.columns import (
    NOW,
    at,
    big,
    blob,
    boolean,
    check,
    enum,
    hexes,
    ident,
    index,
    integer,
    json,
    table,
    text,
    uuid,
)

# REG-050
users = table(
    "users",
    ident(),
    text("username", 64, required=True, unique=True),
    text("display_name", 255, required=True, default=""),
    text("password_hash", 255, required=True),
    enum("role", "viewer", "operator", "admin", required=True, default="viewer"),
    boolean("disabled", required=True, default=False),
    integer("token_epoch", required=True, default=0),
    at("last_login"),
    at("created_at", required=True, default=NOW),
    at("updated_at", required=True, default=NOW),
    check("username_form", "username = lower(username) and length(username) >= 3"),
)

# REG-051
api_keys = table(
    "api_keys",
    ident(),
    text("prefix", 8, required=True, unique=True),
    hexes("key_hash", 64, required=True, unique=True),
    hexes("old_key_hash", 64),
    at("old_valid_until"),
    text("name", 255, required=True),
    big("user_id", required=True, to="users.id", on_delete="CASCADE"),
    enum("role", "viewer", "operator", "admin", required=True, default="viewer"),
    json("device_ids"),
    boolean("ingest", required=True, default=False),
    at("expires_at"),
    at("revoked_at"),
    at("last_used_at"),
    at("created_at", required=True, default=NOW),
)

# REG-052
refresh_tokens = table(
    "refresh_tokens",
    ident(),
    big("user_id", required=True, to="users.id", on_delete="CASCADE"),
    hexes("token_hash", 64, required=True, unique=True),
    uuid("family_id", required=True),
    at("issued_at", required=True, default=NOW),
    at("expires_at", required=True),
    at("used_at"),
    at("revoked_at"),
    text("ip_address", 45),
    text("user_agent", 255),
    index("family_id"),
    index("expires_at"),
)

# REG-053
audit_log = table(
    "audit_log",
    ident(),
    at("at", required=True, default=NOW),
    enum("actor_kind", "user", "key", "device", "system", "cli", "open", required=True),
    text("actor", 128, required=True),
    text("action", 64, required=True),
    text("result", 32, required=True, default="ok"),
    text("object_type", 64, required=True),
    text("object_id", 255, required=True),
    json("before"),
    json("after"),
    big("registry_version"),
    text("request_id", 64),
    text("ip_address", 45),
    index("at"),
    index("object_type", "object_id", "at"),
    index("actor", "at"),
)

# REG-054
request_keys = table(
    "request_keys",
    text("principal", 128, key=True),
    text("method", 8, key=True),
    text("path", 1024, key=True),
    text("request_key", 128, key=True),
    hexes("body_sha256", 64, required=True),
    integer("http_status"),
    blob("response", 1_048_576),
    at("created_at", required=True, default=NOW),
    at("expires_at", required=True),
    index("expires_at"),
)
