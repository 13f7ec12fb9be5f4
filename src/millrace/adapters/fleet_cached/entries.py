"""Profiles of controllers as the documented keys and values, and back.

Every value is JSON with `v`, the registry version that it was read at, and `s`, the name of the
store, because a store that was made anew counts its versions from 1 again. Values hold more than
the documents name, so that a profile can be put together from them; readers must bear that.
`fw_version` and `location` of a controller follow its messages without a new version; nothing that
decodes F2 reads them.
Source: REG-110 to REG-115.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from millrace.model.device import (
    Attached,
    DataPoint,
    DeviceProfile,
    Parameter,
    TemplateVersion,
    unknown,
)
from millrace.ports.cache import Entry
from millrace.schema.identity import bare_mac

FAMILY = "f2"
BEGINNINGS = ("device_mac:", "dp:", "sensor_mapping:", "datapoint_metadata:")

_BIT = re.compile(r"Bit\((\d+)\)")

E = TypeVar("E", bound="Stamped")


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long entries live. Units: seconds."""

    points_s: float = 600
    controller_s: float = 3600
    mapping_s: float = 3600
    metadata_s: float = 3600
    absent_s: float = 30


class Stamped(msgspec.Struct, omit_defaults=True):
    """What all values have; `none` says that the registry has nothing under this key."""

    v: int
    s: str
    none: bool = False


class Controller(Stamped):
    """`device_mac:{mac}`: the row of a controller, and which of its pins are wired."""

    id: int = 0
    device_id: str = ""
    registered: bool = True
    status: str = "active"
    device_type: str | None = None
    location: str | None = None
    fw_version: str | None = None
    time_zone: str | None = None
    metadata: dict[str, Any] = {}
    parameters: tuple[Parameter, ...] = ()
    pins: tuple[tuple[int, int], ...] = ()


class Pin(Stamped):
    """`dp:{mac}:{connector}:{pin}`: what sits there, and the versions with their data points."""

    id: int = 0
    device_id: str = ""
    template_version: int | None = None
    versions: tuple[TemplateVersion, ...] = ()


class SensorMapping(Stamped):
    """`sensor_mapping:{controllerId}:{connector}:{pin}`: numbers alone, for other readers."""

    id: int = 0
    data_points: tuple[int, ...] = ()


class PointMetadata(Stamped):
    """`datapoint_metadata:{dataPointId}`: how one value is cut out, for other readers."""

    encoding: str = ""
    byte_order: str = "big"
    offset: int = 0
    length: int = 0
    bit: int | None = None
    decimals: int = 0
    label: str = ""
    unit: str = ""


_encode = msgspec.json.Encoder().encode


def address(own_id: str) -> str:
    """Return what stands for a controller in keys: its MAC, or its device id when it has none."""
    return (bare_mac(own_id[3:]) if own_id.startswith("f2-") else None) or own_id


def controller_key(own_id: str) -> str:
    """Return the key of a controller."""
    return f"device_mac:{address(own_id)}"


def pin_key(own_id: str, place: tuple[int, int]) -> str:
    """Return the key of a pin."""
    return f"dp:{address(own_id)}:{place[0]}:{place[1]}"


def mapping_key(number: int, place: tuple[int, int]) -> str:
    """Return the key of the numbers behind a pin."""
    return f"sensor_mapping:{number}:{place[0]}:{place[1]}"


def read(kind: type[E], value: bytes | None) -> E | None:
    """Return a value, None when there is none or it is not one of ours."""
    if value is None:
        return None
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.MsgspecError:
        return None


def entries_of(
    profile: DeviceProfile, version: int, store: str, lifetimes: Lifetimes
) -> Iterator[Entry]:
    """Yield everything that the cache holds of a controller, or that it is not there."""
    own_id = profile.device_id
    if not profile.is_known:
        absent = Controller(version, store, none=True)
        yield Entry(controller_key(own_id), _encode(absent), lifetimes.absent_s)
        return
    for place, attached in profile.pins.items():
        newest = attached.versions[-1].id if attached.versions else None
        pin = Pin(
            version,
            store,
            id=attached.number,
            device_id=attached.device_id,
            template_version=newest,
            versions=attached.versions,
        )
        yield Entry(pin_key(own_id, place), _encode(pin), lifetimes.points_s)
        yield from _numbers(profile, place, version, store, lifetimes)
    # The controller comes last, so that who finds it finds its pins.
    yield Entry(
        controller_key(own_id),
        _encode(_controller(profile, version, store)),
        lifetimes.controller_s,
    )


def profile_of(
    own_id: str, controller: Controller, pins: Mapping[tuple[int, int], Pin]
) -> DeviceProfile:
    """Return the profile of a controller; `pins` are those that it names."""
    if controller.none:
        return unknown(own_id, FAMILY)
    return DeviceProfile(
        own_id,
        FAMILY,
        registered=controller.registered,
        status=controller.status,
        device_type=controller.device_type,
        location=controller.location,
        fw_version=controller.fw_version,
        time_zone=controller.time_zone,
        metadata=controller.metadata,
        pins={
            place: Attached(pin.device_id, pin.versions, number=pin.id)
            for place, pin in pins.items()
        },
        parameters=controller.parameters,
        number=controller.id,
    )


def _controller(profile: DeviceProfile, version: int, store: str) -> Controller:
    return Controller(
        version,
        store,
        id=profile.number,
        device_id=profile.device_id,
        registered=profile.registered,
        status=profile.status,
        device_type=profile.device_type,
        location=profile.location,
        fw_version=profile.fw_version,
        time_zone=profile.time_zone,
        metadata=dict(profile.metadata),
        parameters=profile.parameters,
        pins=tuple(profile.pins),
    )


def _numbers(
    profile: DeviceProfile, place: tuple[int, int], version: int, store: str, lifetimes: Lifetimes
) -> Iterator[Entry]:
    attached = profile.pins[place]
    points = {point.id: point for each in attached.versions for point in each.data_points}
    mapping = SensorMapping(version, store, id=attached.number, data_points=tuple(points))
    key = mapping_key(profile.number, place)
    yield Entry(key, _encode(mapping), lifetimes.mapping_s)
    for point in points.values():
        metadata = _metadata(point, version, store)
        key = f"datapoint_metadata:{point.id}"
        yield Entry(key, _encode(metadata), lifetimes.metadata_s)


def _metadata(point: DataPoint, version: int, store: str) -> PointMetadata:
    bit = _BIT.fullmatch(point.encoding)
    return PointMetadata(
        version,
        store,
        encoding="Bit" if bit else point.encoding,
        byte_order=point.byte_order,
        offset=point.offset,
        length=point.length,
        bit=int(bit[1]) if bit else None,
        decimals=point.decimals,
        label=point.label,
        unit=point.append.strip(),
    )
