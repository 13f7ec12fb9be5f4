"""Rows that Millrace brings along: base rows with the migration, demo rows on request.

Data only. Rows name each other by natural keys, never by numbers, so that they can be inserted
into a registry that is already in use; in an empty one they get the documented numbers because
they stand in the documented order.
Source: REG-130 to REG-136; alert rules: SNS-050.
"""

from typing import Any, Final, NamedTuple

Row = dict[str, Any]

DEVICE_TYPES: Final[tuple[Row, ...]] = (
    {"code": "controller", "name": "Controller", "family": "f2", "is_controller": True},
    {"code": "sensor", "name": "Sensor", "family": "f2", "is_sensor": True},
    {"code": "power_monitor", "name": "Power Monitor", "family": "f2", "is_sensor": True},
    {"code": "power_meter_dc", "name": "Power Meter DC", "family": "meter", "is_sensor": True},
    {"code": "power_meter_ac", "name": "Power Meter AC", "family": "meter", "is_sensor": True},
    {
        "code": "temperature_sensor",
        "name": "Temperature Sensor",
        "family": "sensors",
        "is_sensor": True,
    },
    {"code": "humidity_sensor", "name": "Humidity Sensor", "family": "sensors", "is_sensor": True},
    {"code": "motion_sensor", "name": "Motion Sensor", "family": "sensors", "is_sensor": True},
    {"code": "gps_sensor", "name": "GPS Sensor", "family": "sensors", "is_sensor": True},
    {"code": "generic", "name": "Generic", "family": "generic"},
)

ICONS: Final = ("Temperature", "Humidity", "Pressure", "Voltage", "Current", "CO2")

ALERT_RULES: Final[tuple[Row, ...]] = (
    {
        "name": "temperature_anomaly",
        "device_type": "temperature_sensor",
        "metric_name": "temperature_celsius",
        "threshold_min": 10.0,
        "threshold_max": 30.0,
        "severity": "warning",
        "alert_type": "temperature_anomaly",
        "hysteresis": 1.0,
    },
    {
        "name": "humidity_anomaly",
        "device_type": "humidity_sensor",
        "metric_name": "humidity_percent",
        "threshold_min": 20.0,
        "threshold_max": 80.0,
        "severity": "warning",
        "alert_type": "humidity_anomaly",
        "hysteresis": 3.0,
    },
    {
        "name": "low_device_health",
        "metric_name": "health_score",
        "threshold_min": 0.3,
        "severity": "warning",
        "alert_type": "low_device_health",
        "hysteresis": 0.05,
    },
)


class Point(NamedTuple):
    """A data point of a seeded template; all are numeric, big-endian and two bytes long."""

    label: str
    data_encoding: str
    byte_offset: int
    decimals: int
    append: str


class Template(NamedTuple):
    """A seeded template with its version 1."""

    name: str
    model: str
    type_code: str
    points: tuple[Point, ...]


def _environment(first_byte: int) -> tuple[Point, ...]:
    return (
        Point("Temperature", "Int16", first_byte, 2, " °C"),
        Point("Humidity", "Uint16", first_byte + 2, 2, " %"),
        Point("CO2", "Uint16", first_byte + 4, 0, " ppm"),
    )


def _power(first_byte: int) -> tuple[Point, ...]:
    return (
        Point("Voltage", "Uint16", first_byte, 1, " V"),
        Point("Current", "Int16", first_byte + 2, 3, " A"),
    )


# Registers of a Modbus answer begin behind address, function and byte count; the legacy templates
# count from the first byte of the frame.
_BEHIND_HEADER = 3

TEMPLATES: Final = (
    Template("F2 Controller", "F2-rev1", "controller", ()),
    Template("Environmental Sensor", "ENV-S1", "sensor", _environment(_BEHIND_HEADER)),
    Template("Power Monitor", "PM-100", "power_monitor", _power(_BEHIND_HEADER)),
    Template("Environmental Sensor (legacy)", "ENV-S1-L", "sensor", _environment(0)),
    Template("Power Monitor (legacy)", "PM-100-L", "power_monitor", _power(0)),
)


class Controller(NamedTuple):
    """A seeded F2 controller with connectors 1 to 4."""

    mac_address: str
    name: str
    claiming_code: str


class Attached(NamedTuple):
    """A seeded sensor device; its claiming code is its natural key."""

    name: str
    claiming_code: str
    model: str


class Wire(NamedTuple):
    """A pin of a seeded controller and the claiming code of what sits on it."""

    mac_address: str
    connector: int
    position: int
    claiming_code: str


class Parameter(NamedTuple):
    """A seeded row of `device_parameters`."""

    device_id: str
    mode: str
    component_type: str
    component_id: str | None
    encoding_type: str
    units: str
    scaling_factor: float = 1.0


F2_GROUP: Final = "/demo/f2"
CONNECTOR_NUMBERS: Final = (1, 2, 3, 4)
CONNECTOR_TYPE_ID: Final = 3

CONTROLLERS: Final = (
    Controller("e4fd45f654be", "F2 Controller 1", "claim-abc"),
    Controller("abc123def456", "F2 Controller 2", "claim-def"),
    Controller("123456abcdef", "F2 Controller 3", "claim-ghi"),
)

ATTACHED: Final = (
    Attached("Living Room Env Sensor", "claim-env1", "ENV-S1"),
    Attached("Kitchen Power Monitor", "claim-pm1", "PM-100"),
    Attached("Bedroom Env Sensor", "claim-env2", "ENV-S1"),
    Attached("Legacy Env Sensor", "claim-env3", "ENV-S1-L"),
    Attached("Legacy Power Monitor", "claim-pm2", "PM-100-L"),
)

WIRING: Final = (
    Wire("e4fd45f654be", 1, 1, "claim-env1"),
    Wire("abc123def456", 2, 2, "claim-pm1"),
    Wire("123456abcdef", 4, 3, "claim-env2"),
    Wire("123456abcdef", 1, 1, "claim-env3"),
    Wire("123456abcdef", 1, 2, "claim-pm2"),
)

_FIRST = "f2-e4fd45f654be"
_SECOND = "f2-abc123def456"
_ACCESS = "access-control-mode"
_ALARM = "alarm-mode"
_SENSOR = "sensor-mode"

PARAMETERS: Final = (
    Parameter(_FIRST, _ACCESS, "door-sensors", None, "boolean_map", "state"),
    Parameter(_FIRST, _ACCESS, "strike", "1", "boolean", "state"),
    Parameter(_FIRST, _ACCESS, "reader", "1", "raw_string", "text"),
    Parameter(_FIRST, _ACCESS, "exit-buttons", None, "boolean_map", "state"),
    Parameter(_FIRST, _SENSOR, "sensor", "3", "hex_to_float", "celsius", 0.1),
    Parameter(_FIRST, _ALARM, "motion-sensor", "1", "boolean", "presence"),
    Parameter(_FIRST, _ALARM, "siren", "1", "boolean", "state"),
    Parameter(_SECOND, _SENSOR, "sensor", "1", "hex_to_float", "humidity", 0.01),
    Parameter(_SECOND, _SENSOR, "sensor", "2", "hex_to_float", "pressure", 0.1),
    Parameter(_SECOND, _ACCESS, "door-sensors", None, "boolean_map", "state"),
)

_METER_METADATA: Final[Row] = {
    "accuracy_class": "0.5R",
    "sampling_cadence_ms": 1000,
    "send_interval_s": 10,
    "hello_interval_s": 30,
    "brokers": [{"host": "localhost", "port": 1883}],
}
_DC: Final[Row] = {
    "voltage_system": "DC750",
    "voltage_range": "500-900 V",
    "current_range": "0-5000 A",
    **_METER_METADATA,
}
_AC: Final[Row] = {
    "voltage_system": "AC25kV50Hz",
    "voltage_range": "17500-29000 V",
    "current_range": "0-2000 A",
    **_METER_METADATA,
}
_SITE: Final[Row] = {
    "family": "sensors",
    "group_path": "/demo/site",
    "installation_date": "2025-01-15T00:00:00.000000Z",
}
_BERLIN: Final[Row] = {"latitude": 52.52, "longitude": 13.405, "time_zone": "Europe/Berlin"}

STANDALONE: Final[tuple[Row, ...]] = (
    {
        "device_id": "dc-meter-001",
        "family": "meter",
        "device_name": "DC Meter 001",
        "device_type": "power_meter_dc",
        "location": "Train 4521, Car 1",
        "group_path": "/demo/rail/train-4521",
        "metadata": _DC,
    },
    {
        "device_id": "dc-meter-002",
        "family": "meter",
        "device_name": "DC Meter 002",
        "device_type": "power_meter_dc",
        "location": "Train 4521, Car 3",
        "group_path": "/demo/rail/train-4521",
        "metadata": _DC,
    },
    {
        "device_id": "ac-meter-001",
        "family": "meter",
        "device_name": "AC Meter 001",
        "device_type": "power_meter_ac",
        "location": "Train 8010",
        "group_path": "/demo/rail/train-8010",
        "metadata": _AC,
    },
    {
        **_SITE,
        **_BERLIN,
        "device_id": "temp-office-1",
        "device_name": "Office Temperature",
        "device_type": "temperature_sensor",
        "location": "Office",
    },
    {
        **_SITE,
        **_BERLIN,
        "device_id": "temp-server-1",
        "device_name": "Server Room Temperature",
        "device_type": "temperature_sensor",
        "location": "Server Room",
    },
    {
        **_SITE,
        "device_id": "7d2f4c1e-5b1a-4c7e-9a55-0f6c2f3b8d10",
        "device_name": "Warehouse Humidity",
        "device_type": "humidity_sensor",
        "location": "Warehouse",
        "latitude": 53.5511,
        "longitude": 9.9937,
        "last_maintenance": "2025-03-01T00:00:00.000000Z",
    },
    {
        **_SITE,
        "device_id": "motion-lobby-1",
        "device_name": "Lobby Motion",
        "device_type": "motion_sensor",
        "location": "Lobby",
    },
    {
        **_SITE,
        "device_id": "gps-van-1",
        "device_name": "Van 1",
        "device_type": "gps_sensor",
        "location": "Van 1",
    },
)
