"""Registered metrics: the unit each is in, and the range in which its values make sense.

A value outside its range is stored and flagged. Units are UCUM codes.
Source: meter.md sections 3, 9 and MTR-060; sensors.md section 3.
"""

from math import inf
from typing import NamedTuple


class Metric(NamedTuple):
    """A registered metric; both bounds are good values."""

    unit: str | None = None
    low: float = -inf
    high: float = inf


METER_METRICS: dict[str, Metric] = {
    "voltage_dc": Metric("V", 0, 4000),
    "current_dc": Metric("A", -5000, 5000),
    "voltage_ac": Metric("V", 0, 30_000),
    "current_ac": Metric("A", 0, 2000),
    "frequency": Metric("Hz", 10, 70),
    "pf": Metric(None, -1, 1),
    "thd_v": Metric("%", 0),
    "thd_i": Metric("%", 0),
    "temperature": Metric("Cel", -40, 85),
    "battery": Metric("V", 0),
    "meta_uptime_s": Metric("s"),
    "meta_broker_connections": Metric(),
    "meta_buf_usage_pct": Metric("%", 0, 100),
    "meta_temp_internal": Metric("Cel"),
}

DERIVED_METRICS: dict[str, Metric] = {
    "power_active": Metric("W"),
    "power_apparent": Metric("VA"),
    "power_reactive": Metric("var"),
    "energy_active_import": Metric("Wh"),
    "energy_active_export": Metric("Wh"),
    "energy_apparent": Metric("VAh"),
    "energy_reactive": Metric("varh"),
    "health_score": Metric(None, 0, 1),
}

SENSOR_METRICS: dict[str, Metric] = {
    "temperature_celsius": Metric("Cel"),
    "temperature_fahrenheit": Metric("degF"),
    "humidity_percent": Metric("%", 0, 100),
    "dew_point": Metric("Cel"),
    "motion": Metric(),
    "count": Metric(None, 0),
    "latitude": Metric("deg", -90, 90),
    "longitude": Metric("deg", -180, 180),
    "altitude_m": Metric("m"),
    "speed_mps": Metric("m/s", 0),
    "meta_battery_level": Metric("%", 0, 100),
    "meta_signal_strength": Metric("dBm"),
}
