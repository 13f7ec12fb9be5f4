"""Settings to the codecs of the device families; apart from the middle, which needs far more."""

from collections.abc import Sequence

from millrace.codecs import built_in
from millrace.codecs.f2 import F2Options
from millrace.codecs.meter import MeterOptions
from millrace.model.codec import Codec
from millrace.settings import Settings


def codecs(settings: Settings) -> Sequence[Codec]:
    """Return the device families that this configuration knows."""
    f2, meter = settings.f2, settings.meter
    return built_in(
        f2=F2Options(max_payload_bytes=f2.max_payload_bytes, time_zone=f2.time_zone),
        meter=MeterOptions(
            max_payload_bytes=meter.max_payload_bytes,
            soft_measurements=meter.soft_measurements,
            max_measurements=meter.max_measurements,
            max_future_s=meter.max_future_s,
        ),
        generic=settings.generic,
    )
