"""Settings to the pure middle: the state that codecs and steps share."""

from millrace.decode.redelivery import RedeliveryMemory
from millrace.decode.registration import Pace, Registration
from millrace.decode.router import Router
from millrace.decode.sequence import SequenceOptions, SequenceTracker
from millrace.middle import Middle
from millrace.model.series import SeriesBook
from millrace.settings import Settings
from millrace.wiring.families import codecs

# Open mode trusts whoever can connect (D-27, D-44).
UNPACED = ("open",)


def build_middle(settings: Settings, *, partitions: int, auto_devices: int = 0) -> Middle:
    """Return the middle with empty state; `auto_devices` have registered themselves already.

    `partitions` is the number of those of the open log, which share the pace.
    """
    meter = settings.meter
    book = SeriesBook(settings.series.max_per_device, settings.series.max_total)
    rows_left = max(0, settings.registry.max_auto_devices - auto_devices)
    families = codecs(settings)
    registration = {codec.family: settings.registry.registration for codec in families}
    pace = None if settings.api.auth in UNPACED else Pace(partitions)
    return Middle(
        Router(families, book, registration=registration),
        book,
        SequenceTracker(
            SequenceOptions(
                max_gap_seqs=meter.max_gap_seqs, previous_epoch_s=meter.previous_epoch_s
            )
        ),
        RedeliveryMemory(meter.redelivery_s),
        Registration(rows_left, pace),
    )
