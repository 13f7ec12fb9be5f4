"""The meter family: power metering of rail vehicles. Source: meter.md."""

from millrace.codecs.meter.codec import MeterCodec
from millrace.codecs.meter.options import MeterOptions

__all__ = ["MeterCodec", "MeterOptions"]
