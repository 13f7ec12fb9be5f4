"""Decoded records on the log of a cluster, one for each message that gave a reading.

Source: F2-121, F2-122, D-50.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from millrace.codecs.f2.codec import CommandPlan, Telemetry
from millrace.codecs.f2.components import COUNT_UNIT
from millrace.codecs.f2.findings import Found, Kind
from millrace.codecs.f2.plan import Message
from millrace.model.instants import SECOND_NS, format_instant
from millrace.model.quality import names
from millrace.model.records import embedded

_encode = msgspec.json.Encoder().encode
_TEXTS: Final = (Kind.TEXT, Kind.SCAN)


def decoded_record(
    plan: Telemetry | CommandPlan,
    payload: bytes,
    received_at_ns: int,
    *,
    raw_ref: tuple[int, int],
    include_raw: bool = True,
) -> bytes | None:
    """Return the decoded record of a message as JSON; None when it gives no reading.

    Shape: `raw_ref` is partition and offset of the raw record.
    Units: `received_at_ns` UTC nanoseconds; instants in the record are float epoch seconds.
    Raises:
        RejectError: The message as a whole is bad.
    """
    understood = plan.understand(payload, received_at_ns)
    if understood is None:
        return None
    message, target = understood.message, understood.plan.target
    found = [item for item in message.findings.found if item.kind is not Kind.REPLY]
    if not found:
        return None
    place = target.attributes
    record: dict[str, Any] = {
        "timestamp": message.time_ns / SECOND_NS,
        "device_id": place.get("controller", target.device_id),
        "connector_mode": place["connector_mode"],
        "component_type": place["component_type"],
        "component_id": place["component_id"],
        **_values(found, is_map=message.findings.is_map),
        "original_topic": place["topic"],
        "seq": message.seq,
        "quality": _quality(found, message.flags),
        "raw_ref": {"partition": raw_ref[0], "offset": raw_ref[1]},
        "received_at": received_at_ns / SECOND_NS,
        "family": "f2",
        "readings": [_reading(item, message) for item in found],
    }
    if "controller" in place:
        record["sensor_device_id"] = target.device_id
    if len(found) == 1 and found[0].point is not None:
        record["label"] = found[0].label
    if message.has_device_time:
        record["device_time"] = message.device_time
    if include_raw:
        record["raw_data"] = msgspec.Raw(embedded(payload))
    return _encode(record)


def _values(found: Sequence[Found], *, is_map: bool) -> dict[str, Any]:
    if len(found) == 1 and not is_map:
        return {"value": found[0].value, "unit": found[0].unit}
    units = {item.label: item.unit for item in found}
    is_uniform = len(set(units.values())) == 1
    return {
        "value": {item.label: item.value for item in found},
        "unit": found[0].unit if is_uniform else units,
    }


def _quality(found: Sequence[Found], flags: int) -> list[str]:
    of_all = flags
    for bit in {item.flags for item in found}:
        if all(item.flags & bit == bit for item in found):
            of_all |= bit
    single = {f"{name}:{item.label}" for item in found for name in names(item.flags & ~of_all)}
    return sorted([*names(of_all), *single])


def _reading(item: Found, message: Message) -> dict[str, Any]:
    is_text = item.kind in _TEXTS
    return {
        "metric": item.metric,
        "channel": item.channel,
        "value": 1.0 if is_text else float(item.value),
        "unit": COUNT_UNIT if is_text else item.unit,
        "time": format_instant(message.time_ns),
        "quality": names(message.flags | item.flags),
    }
