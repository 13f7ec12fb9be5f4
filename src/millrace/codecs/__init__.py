"""The device families that Millrace knows; a family is added with one line in `built_in`."""

from collections.abc import Sequence
from typing import Final

from millrace.codecs.f2 import F2Codec, F2Options
from millrace.codecs.generic import GenericCodec
from millrace.codecs.generic.patterns import PatternLike
from millrace.codecs.meter import MeterCodec, MeterOptions
from millrace.codecs.sensors import SensorsCodec, SensorsOptions
from millrace.model.codec import Codec

ROOTS: Final = ("stat", "tele", "cmnd", "iot", "sensors")


def built_in(
    *,
    f2: F2Options | None = None,
    meter: MeterOptions | None = None,
    sensors: SensorsOptions | None = None,
    generic: Sequence[PatternLike] = (),
) -> tuple[Codec, ...]:
    """Return one codec for each family; the generic one is asked last.

    Raises:
        UsageError: Generic patterns that cannot work; all of them are listed.
    """
    return (
        F2Codec(f2),
        MeterCodec(meter),
        SensorsCodec(sensors),
        GenericCodec(generic, reserved=ROOTS),
    )
