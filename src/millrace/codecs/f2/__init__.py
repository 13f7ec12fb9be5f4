"""F2 controllers: what they publish, and what can be sent to them. Source: spec f2.md."""

from millrace.codecs.f2.codec import F2Codec, F2Options

__all__ = ["F2Codec", "F2Options"]
