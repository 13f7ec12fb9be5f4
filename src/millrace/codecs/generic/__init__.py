"""Devices of any make: JSON read by patterns of the settings. Source: decisions.md."""

from millrace.codecs.generic.codec import GenericCodec
from millrace.codecs.generic.patterns import GenericPattern, GenericReading

__all__ = ["GenericCodec", "GenericPattern", "GenericReading"]
