"""Readings copied to InfluxDB, and to whatever else takes its line protocol."""

from millrace.adapters.series_influx.writer import InfluxOptions, InfluxSeries

__all__ = ["InfluxOptions", "InfluxSeries"]
