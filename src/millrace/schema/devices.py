"""Devices, what is wired to them, and what they prove themselves with.

Source: REG-020 to REG-024, REG-060 to REG-068, REG-070.
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

# REG-020
devices = table(
    "devices",
    ident(),
    devid(required=True, unique=True),
    enum("family", "f2", "meter", "sensors", "generic", required=True, default="generic"),
    enum("role", "controller", "attached", "standalone", required=True, default="standalone"),
    boolean("registered", required=True, default=True),
    text("device_name", 255, required=True),
    text("device_type", 100),
    big("device_template_id", to="device_templates.id", on_delete="RESTRICT"),
    text("claiming_code", 255),
    at("claimed_at"),
    big("claimed_by", to="users.id", on_delete="SET NULL"),
    text("serial_number", 255),
    uuid("uuid"),
    hexes("mac_address", 12),
    text("ip_address", 45),
    text("pcb_version", 255),
    text("fw_version", 50),
    text("location", 255),
    real("latitude"),
    real("longitude"),
    text("time_zone", 64),
    text("group_path", 255, required=True, default="/"),
    enum(
        "status",
        "active",
        "inactive",
        "maintenance",
        "discovered",
        "decommissioned",
        required=True,
        default="active",
    ),
    at("last_seen"),
    enum("connection_status", "online", "offline", "unknown", required=True, default="unknown"),
    at("installation_date"),
    at("last_maintenance"),
    text("credential_ref", 64),
    json("metadata", required=True, default="{}"),
    at("created_at", required=True, default=NOW),
    at("updated_at", required=True, default=NOW),
    unique("uq_devices_mac_address", "mac_address", where="mac_address is not null"),
    unique("uq_devices_uuid", "uuid", where="uuid is not null"),
    unique("uq_devices_claiming_code", "claiming_code", where="claiming_code is not null"),
    index("status"),
    index("connection_status"),
    index("last_seen"),
    index("device_type"),
    index("group_path"),
    check("group_path_rooted", "group_path like '/%'"),
    check("discovered_unregistered", "status <> 'discovered' or not registered"),
    check("latitude_range", "latitude between -90 and 90"),
    check("longitude_range", "longitude between -180 and 180"),
    check("position_whole", "(latitude is null) = (longitude is null)"),
    check("role_of_family", "role = 'standalone' or family = 'f2'"),
    check(
        "controller_named",
        "role <> 'controller' or mac_address is null or device_id = 'f2-' || mac_address",
    ),
    check("attached_named", "role <> 'attached' or device_id = 'dev-' || id"),
)

# REG-021
connectors = table(
    "connectors",
    ident(),
    devid("controller_id", required=True, to="devices.device_id", on_delete="CASCADE"),
    integer("connector_number", required=True),
    integer("connector_type_id"),
    unique("uq_connectors_controller_id_connector_number", "controller_id", "connector_number"),
    check("connector_number_range", "connector_number between 1 and 5"),
)

# REG-022
pins = table(
    "pins",
    ident(),
    big("connector_id", required=True, to="connectors.id", on_delete="RESTRICT"),
    integer("position", required=True),
    devid(required=True, to="devices.device_id", on_delete="RESTRICT"),
    unique("uq_pins_connector_id_position", "connector_id", "position"),
    check("position_range", "position between 0 and 99"),
)

# REG-023
device_parameters = table(
    "device_parameters",
    ident(),
    devid(required=True, to="devices.device_id", on_delete="CASCADE"),
    text("connector_mode", 50, required=True),
    text("component_type", 50, required=True),
    text("component_id", 10),
    text("encoding_type", 50, required=True),
    text("units", 20, required=True),
    real("scaling_factor", required=True, default=1.0),
    at("created_at", required=True, default=NOW),
    at("updated_at", required=True, default=NOW),
    unique(
        "idx_device_params_lookup",
        "device_id",
        "connector_mode",
        "component_type",
        "coalesce(component_id, '')",
    ),
    check("scaling_factor_nonzero", "scaling_factor <> 0"),
)

# REG-024
device_credentials = table(
    "device_credentials",
    ident(),
    text("ref", 64, required=True, unique=True),
    devid(required=True, to="devices.device_id", on_delete="CASCADE"),
    enum("kind", "password", "x509", "hmac", required=True),
    text("username", 128),
    hexes("secret_hash", 64),
    blob("sealed_secret", 512),
    text("master_key_id", 32),
    hexes("fingerprint", 64),
    text("serial_number", 64),
    at("not_before", required=True, default=NOW),
    at("not_after"),
    at("revoked_at"),
    at("created_at", required=True, default=NOW),
    unique("uq_device_credentials_fingerprint", "fingerprint", where="fingerprint is not null"),
    index("device_id", "kind"),
    index("username"),
    check("kind_password", "(kind = 'password') = (secret_hash is not null)"),
    check("kind_x509", "(kind = 'x509') = (fingerprint is not null)"),
    check(
        "kind_hmac", "(kind = 'hmac') = (sealed_secret is not null and master_key_id is not null)"
    ),
)
