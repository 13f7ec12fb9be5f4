"""What the registry knows of one device, as far as decoding needs it: plain values, no queries.

The fleet adapter builds a profile in one look-up; a codec compiles it into a plan.
Source: REG-090 to REG-094, F2-080 to F2-085.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DataPoint:
    """How one value is cut out of a frame. Columns of REG-013, names of F2-091.

    Units: `offset` and `length` in bytes of the whole frame, header included; `length` 0 is the
    natural length of the encoding. `encoding` may also hold the legacy spelling `Bit(n)`.
    """

    id: int
    label: str
    encoding: str
    offset: int
    length: int = 0
    byte_order: str = "big"
    decimals: int = 0
    data_format: str = "numeric"
    prepend: str = ""
    append: str = ""
    whole_number: int = 0


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """One version of a template, with the span in which it was active.

    Units: instants in UTC nanoseconds; None is open. `id` is `template_versions.id`.
    """

    id: int
    data_points: tuple[DataPoint, ...]
    crc: str = "none"
    activated_at_ns: int | None = None
    retired_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """A sensor device on a pin of a controller, with the versions that may decode it.

    `number` is that of its row; it decodes nothing, so it does not make two of them different.
    """

    device_id: str
    versions: tuple[TemplateVersion, ...]
    number: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A row of `device_parameters`: the simple way to say how a component is decoded."""

    id: int
    mode: str
    component_type: str
    component_id: str | None
    encoding_type: str
    units: str
    scaling_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """All that decoding a message of one device may need from the registry.

    `is_known` is False for a device without a row (the negative answer is a value too).
    `pins` maps (connector number, pin position) to the attached device. `number` is that of the
    row, 0 without one; it decodes nothing, so it does not make two profiles different.
    """

    device_id: str
    family: str
    is_known: bool = True
    registered: bool = True
    status: str = "active"
    device_type: str | None = None
    location: str | None = None
    fw_version: str | None = None
    time_zone: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    pins: Mapping[tuple[int, int], Attached] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    number: int = field(default=0, compare=False)


def unknown(device_id: str, family: str) -> DeviceProfile:
    """Return the profile of a device that the registry does not have."""
    return DeviceProfile(device_id, family, is_known=False, registered=False, status="discovered")
