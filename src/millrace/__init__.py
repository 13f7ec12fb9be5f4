"""Millrace: an IoT telemetry pipeline that loses nothing on the way."""

__version__ = "0.1.0"
