"""What may be set about the meter codec. Source: meter.md section 14."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeterOptions:
    """Limits of one datagram; the names are those of the settings below `meter`."""

    max_payload_bytes: int = 2_097_152
    soft_measurements: int = 200
    max_measurements: int = 10_000
    max_future_s: int = 600

    @property
    def max_future_ns(self) -> int:
        """How far ahead of its receipt a reading may claim to be."""
        return self.max_future_s * 1_000_000_000
