"""Read-only views that carry the documented names of the registry.

Quoted names are exact. Where a number of a device is documented, the view shows `devices.id`.
Source: REG-080.
"""

from typing import Final

VIEWS: Final[dict[str, str]] = {
    '"DeviceType"': 'SELECT id AS "DeviceTypeId", name AS "Name" FROM device_types',
    '"DeviceTemplate"': (
        'SELECT id AS "DeviceTemplateId", name AS "Name", model AS "Model",'
        ' description AS "Description", image AS "Image", device_type_id AS "DeviceTypeId"'
        " FROM device_templates"
    ),
    '"Device"': (
        'SELECT id AS "DeviceId", device_name AS "DeviceName",'
        ' device_template_id AS "DeviceTemplateId",'
        ' coalesce(claiming_code, \'\') AS "ClaimingCode", serial_number AS "SerialNumber",'
        ' uuid AS "Uuid", mac_address AS "MacAddress", ip_address AS "IpAddress",'
        ' pcb_version AS "PcbVersion"'
        " FROM devices WHERE device_template_id IS NOT NULL"
    ),
    '"Connector"': (
        'SELECT c.id AS "ConnectorId", d.id AS "ControllerId",'
        ' c.connector_number AS "ConnectorNumber", c.connector_type_id AS "ConnectorTypeId"'
        " FROM connectors c JOIN devices d ON d.device_id = c.controller_id"
    ),
    '"Pin"': (
        'SELECT p.id AS "PinId", p.connector_id AS "ConnectorId", p.position AS "Position",'
        ' d.id AS "DeviceId"'
        " FROM pins p JOIN devices d ON d.device_id = p.device_id"
    ),
    '"DataPointIcon"': (
        'SELECT id AS "DataPointIconId", icon_name AS "IconName" FROM data_point_icons'
    ),
    '"DataPoint"': (
        'SELECT coalesce(p.origin_id, p.id) AS "DataPointId",'
        ' v.device_template_id AS "DeviceTemplateId", p.label AS "Label",'
        ' coalesce(p.data_point_icon_id, 0) AS "DataPointIconId",'
        ' p.data_format AS "DataFormat",'
        " CASE WHEN p.data_encoding = 'Bit' THEN 'Bit(' || p.bit || ')'"
        ' ELSE p.data_encoding END AS "DataEncoding",'
        ' p.byte_offset AS "Offset", p.byte_length AS "Length", p.prepend AS "Prepend",'
        ' p.append AS "Append", p.whole_number AS "WholeNumber", p.decimals AS "Decimals",'
        ' p.real_time_chart AS "RealTimeChart", p.historical_chart AS "HistoricalChart"'
        " FROM data_points p JOIN template_versions v ON v.id = p.template_version_id"
        " WHERE v.status = 'active'"
    ),
    "device_config_view": (
        "SELECT device_id, connector_mode, component_type, component_id, encoding_type, units,"
        " scaling_factor FROM device_parameters"
        " ORDER BY device_id, connector_mode, component_type, component_id"
    ),
    "sensor_devices": (
        "SELECT device_id, device_type, location, installation_date, last_maintenance, status"
        " FROM devices WHERE family = 'sensors'"
    ),
    "sensor_device_configs": (
        "SELECT c.id AS config_id, c.device_id, c.config_key, c.config_value, c.updated_at"
        " FROM device_configs c JOIN devices d ON d.device_id = c.device_id"
        " WHERE d.family = 'sensors'"
    ),
}

# The same under the names of older systems, lower case throughout (REG-082).
LEGACY_VIEWS: Final[dict[str, str]] = {
    "devicetypes": (
        'SELECT id AS "DeviceTypeId", name AS "TypeName", description AS "Description",'
        ' is_sensor AS "IsSensor", is_controller AS "IsController" FROM device_types'
    ),
    "devicetemplates": VIEWS['"DeviceTemplate"'],
    "devices": VIEWS['"Device"'],
    "connectors": VIEWS['"Connector"'],
    "pins": VIEWS['"Pin"'],
    "datapoints": VIEWS['"DataPoint"'],
    "datapointicons": (
        'SELECT id AS "Id", icon_name AS "Label", content AS "Content" FROM data_point_icons'
    ),
}
