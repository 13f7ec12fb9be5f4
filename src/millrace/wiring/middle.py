"""Settings to the pure middle: codecs with their options, and the state they share."""

from collections.abc import Sequence

from millrace.codecs import built_in
from millrace.codecs.f2 import F2Options
from millrace.codecs.meter import MeterOptions
from millrace.decode.redelivery import RedeliveryMemory
from millrace.decode.router import Router
from millrace.decode.sequence import SequenceOptions, SequenceTracker
from millrace.middle import Middle
from millrace.model.codec import Codec
from millrace.model.series import SeriesBook
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


def build_middle(settings: Settings, *, auto_devices: int = 0) -> Middle:
    """Return the middle with empty state; `auto_devices` have registered themselves already."""
    meter = settings.meter
    book = SeriesBook(settings.series.max_per_device, settings.series.max_total)
    rows_left = max(0, settings.registry.max_auto_devices - auto_devices)
    families = codecs(settings)
    registration = {codec.family: settings.registry.registration for codec in families}
    return Middle(
        Router(families, book, registration=registration, rows_left=rows_left),
        book,
        SequenceTracker(
            SequenceOptions(
                max_gap_seqs=meter.max_gap_seqs, previous_epoch_s=meter.previous_epoch_s
            )
        ),
        RedeliveryMemory(meter.redelivery_s),
    )
