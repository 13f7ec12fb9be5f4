"""What a codec made of one message, as plain JSON values that tests compare."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from millrace.errors import RejectError
from millrace.model.codec import Codec
from millrace.model.columns import ReadingColumns
from millrace.model.decoded import Decoded
from millrace.model.device import DeviceProfile
from millrace.model.instants import MICROSECOND_NS, parse_instant
from millrace.model.quality import names
from millrace.model.series import SeriesBook

MISSING = object()


def payload_bytes(payload: str | Mapping[str, str]) -> bytes:
    return payload.encode() if isinstance(payload, str) else base64.b64decode(payload["base64"])


def instant(text: object) -> int:
    ns = parse_instant(text)
    assert ns is not None, text
    return ns


def decode(
    codec: Codec,
    topic: str,
    payload: bytes,
    received_at_ns: int,
    profile: DeviceProfile,
    *,
    repeat: int = 1,
) -> dict[str, Any]:
    """Decode with one plan `repeat` times; the short cuts open with the second message."""
    book = SeriesBook()
    out = Decoded()
    try:
        plan = codec.compile(topic, profile, book)
        for number in range(repeat):
            out = Decoded()
            out.message = number
            plan.decode(payload, received_at_ns, 0, out)
    except RejectError as problem:
        out = Decoded()
        out.reject(problem.reason, problem.element, problem.index, problem.detail)
    return outcome(out, book)


def outcome(
    out: Decoded, book: SeriesBook, columns: ReadingColumns | None = None
) -> dict[str, Any]:
    """Return what was decoded; `columns` are the readings where later steps have changed them."""
    rows = zip(*(column.tolist() for column in columns or out.columns()), strict=True)
    return {
        "readings": [
            _reading(book, slot, value) | _moment(time_ns, flags)
            for _, slot, time_ns, value, flags in rows
        ],
        "events": [
            {"kind": event.type, "device_id": event.device_id, **event.data}
            | _moment(event.time_ns, event.flags)
            for event in out.events
        ],
        "dead_letters": [
            {"reason": letter.reason, "element": letter.element, "index": letter.index}
            for letter in out.dead_letters
        ],
    }


def compare(expected: Mapping[str, Any], got: Mapping[str, Any]) -> None:
    """Compare as sets; members that the expectation does not name are not looked at."""
    for kind in ("readings", "events", "dead_letters"):
        wanted = expected.get(kind, [])
        found = list(got[kind])
        for item in wanted:
            match = next((other for other in found if _fits(item, other, kind)), None)
            assert match is not None, f"{kind}: {item} not in {found}"
            found.remove(match)
        assert not found, f"{kind}: nobody expected {found}"


def _reading(book: SeriesBook, slot: int, value: float) -> dict[str, Any]:
    key, unit, attributes = book.slots[slot]
    return {
        "device_id": key.device_id,
        "metric": key.metric,
        "channel": key.channel,
        "value": value,
        "unit": unit,
        "attributes": json.loads(attributes),
    }


def _moment(time_ns: int, flags: int) -> dict[str, Any]:
    return {"time": time_ns, "quality": names(flags)}


def _fits(item: Mapping[str, Any], other: Mapping[str, Any], kind: str) -> bool:
    if kind != "dead_letters" and sorted(item.get("quality", [])) != other["quality"]:
        return False
    for name, value in item.items():
        found = other.get(name, MISSING)
        if name == "time":
            if instant(value) // MICROSECOND_NS != found // MICROSECOND_NS:
                return False
        elif name == "value":
            if abs(value - found) > 1e-9 * max(abs(value), abs(found)):
                return False
        elif name == "attributes":
            if not value.items() <= found.items():
                return False
        elif value != found:
            return False
    return True
