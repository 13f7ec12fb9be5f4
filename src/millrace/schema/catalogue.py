"""What kinds of devices there are, and how their frames are decoded.

Source: REG-010 to REG-015, REG-069, REG-091.
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
    ident,
    index,
    integer,
    table,
    text,
    unique,
)

# REG-010
device_types = table(
    "device_types",
    ident(),
    text("code", 64, required=True, unique=True),
    text("name", 255, required=True, unique=True),
    text("description", 1000, required=True, default=""),
    enum("family", "f2", "meter", "sensors", "generic", required=True, default="generic"),
    boolean("is_sensor", required=True, default=False),
    boolean("is_controller", required=True, default=False),
    check("one_kind", "not (is_sensor and is_controller)"),
)

# REG-011
device_templates = table(
    "device_templates",
    ident(),
    text("name", 255, required=True),
    text("model", 255, required=True),
    text("description", 4000),
    blob("image", 262_144),
    enum("image_type", "image/png", "image/jpeg", "image/webp"),
    big("device_type_id", required=True, to="device_types.id", on_delete="RESTRICT"),
    at("archived_at"),
    at("created_at", required=True, default=NOW),
    at("updated_at", required=True, default=NOW),
    unique("uq_device_templates_name_model", "name", "model"),
    check("image_typed", "(image is null) = (image_type is null)"),
)

# REG-012
template_versions = table(
    "template_versions",
    ident(),
    big("device_template_id", required=True, to="device_templates.id", on_delete="CASCADE"),
    integer("version", required=True),
    enum("status", "draft", "active", "retired", required=True, default="draft"),
    enum("crc", "none", "modbus", required=True, default="none"),
    text("note", 500, required=True, default=""),
    big("created_by", to="users.id", on_delete="SET NULL"),
    at("created_at", required=True, default=NOW),
    at("activated_at"),
    at("retired_at"),
    at("used_at"),
    unique("uq_template_versions_device_template_id_version", "device_template_id", "version"),
    unique(
        "uq_template_versions_device_template_id", "device_template_id", where="status = 'active'"
    ),
    check("version_from_one", "version >= 1"),
)

# REG-013
data_points = table(
    "data_points",
    ident(),
    big("template_version_id", required=True, to="template_versions.id", on_delete="CASCADE"),
    big("origin_id", to="data_points.id", on_delete="NO ACTION"),
    text("label", 255, required=True),
    big("data_point_icon_id", to="data_point_icons.id", on_delete="RESTRICT"),
    enum("data_format", "numeric", "text", required=True, default="numeric"),
    enum("byte_order", "big", "little", "word-swapped", required=True, default="big"),
    integer("byte_offset", required=True),
    integer("byte_length", required=True),
    integer("bit"),
    integer("decimals", required=True, default=0),
    integer("whole_number", required=True, default=0),
    enum(
        "data_encoding",
        "Int8",
        "Int16",
        "Int24",
        "Int32",
        "Int64",
        "Uint8",
        "Uint16",
        "Uint24",
        "Uint32",
        "Uint64",
        "Float32",
        "Float64",
        "BCD",
        "ASCII",
        "Bit",
        required=True,
    ),
    text("prepend", 50, required=True, default=""),
    text("append", 50, required=True, default=""),
    enum(
        "real_time_chart", "gauge", "line", "bar", "value", "none", required=True, default="gauge"
    ),
    enum("historical_chart", "line", "bar", "none", required=True, default="line"),
    unique(
        "uq_data_points_template_version_id_origin_id",
        "template_version_id",
        "coalesce(origin_id, id)",
    ),
    check("byte_offset_range", "byte_offset between 0 and 1023"),
    check("decimals_range", "decimals between 0 and 18"),
    check("whole_number_range", "whole_number between 0 and 20"),
    check(
        "byte_length_natural",
        "case when data_encoding in ('Int8','Uint8') then byte_length = 1"
        " when data_encoding in ('Int16','Uint16') then byte_length = 2"
        " when data_encoding in ('Int24','Uint24') then byte_length = 3"
        " when data_encoding in ('Int32','Uint32','Float32') then byte_length = 4"
        " when data_encoding in ('Int64','Uint64','Float64') then byte_length = 8"
        " when data_encoding = 'ASCII' then byte_length between 1 and 1024"
        " else byte_length between 1 and 8 end",
    ),
    check("bit_named", "(data_encoding = 'Bit') = (bit is not null)"),
    check("bit_inside", "bit is null or bit between 0 and 8 * byte_length - 1"),
    check("text_is_ascii", "data_format = 'numeric' or data_encoding = 'ASCII'"),
    check(
        "word_swapped_wide",
        "byte_order <> 'word-swapped'"
        " or data_encoding in ('Int32','Uint32','Float32','Int64','Uint64','Float64')",
    ),
)

# REG-014
data_point_icons = table(
    "data_point_icons",
    ident(),
    text("icon_name", 255, required=True, unique=True),
    text("content", 4096, required=True, default=""),
)

# REG-015
decoder_bindings = table(
    "decoder_bindings",
    ident(),
    devid(required=True, to="devices.device_id", on_delete="CASCADE"),
    big("template_version_id", required=True, to="template_versions.id", on_delete="RESTRICT"),
    text("fw_version", 50, required=True, default=""),
    at("valid_from"),
    at("valid_to"),
    at("created_at", required=True, default=NOW),
    index("device_id", "fw_version", "valid_from"),
    check("valid_span", "valid_from is null or valid_to is null or valid_from < valid_to"),
)
