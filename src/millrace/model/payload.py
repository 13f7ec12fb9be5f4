"""The rules that all JSON families share: bodies, values, names, claimed ids.

Reading a body is total: any bytes give an object or a RejectError.
Source: MTR-004, MTR-005, MTR-020, MTR-036, MTR-038.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from millrace.errors import RejectError
from millrace.model import quality
from millrace.model.documents import read_json
from millrace.model.instants import YEAR_2000_NS

MAX_METRIC_CHARS = 128
MAX_UNIT_CHARS = 32
MAX_QUOTED_CHARS = 256
MAX_ELEMENT_CHARS = 255

_DEVICE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def parse_object(payload: bytes, max_bytes: int) -> dict[str, Any]:
    """Return the JSON object that a payload holds.

    `NaN` and `Infinity` are read, numbers that no double holds become infinite, of equal keys the
    last one wins.
    Raises:
        RejectError: `too_large`, `empty_payload`, `not_utf8`, `bad_json` (also for nesting deeper
            than 32), `bad_root`.
    Source: MTR-020.
    """
    if len(payload) > max_bytes:
        raise RejectError("too_large", f"{len(payload)} bytes, the limit is {max_bytes}")
    if not payload:
        raise RejectError("empty_payload")
    body = read_json(payload, has_tokens=True)
    if type(body) is not dict:
        raise RejectError("bad_root", "the payload is JSON, but not an object")
    return body


def json_text(value: Any) -> str:
    """Return the JSON text of a parsed value, without blanks; of text the text with its quotes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def number(value: Any) -> float:
    """Return the double nearest to a JSON number; `true` is 1 and `false` 0.

    Raises:
        RejectError: `bad_value` for anything else, `not_finite` for what no double holds.
    Source: MTR-036.
    """
    if not isinstance(value, int | float):
        raise RejectError("bad_value", "not a number")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise RejectError("not_finite", "not a finite number")
    return result


def metric_name(value: Any) -> str:
    """Return a metric name that may be stored. Raises: RejectError `bad_type`. Source: MTR-038."""
    if type(value) is not str or not 0 < len(value) <= MAX_METRIC_CHARS or _CONTROL.search(value):
        raise RejectError("bad_type", "a metric is named by 1 to 128 printable characters")
    return value


def unit_text(value: Any) -> tuple[str | None, int]:
    """Return the unit to store, with the flag `bad_unit` when one was dropped. Source: MTR-038."""
    if value is None or value == "":
        return None, 0
    if type(value) is not str or len(value) > MAX_UNIT_CHARS:
        return None, quality.BAD_UNIT
    return value, 0


def device_id_of(level: str) -> str:
    """Return a topic level that names a device. Raises: RejectError `bad_device_id`. MTR-004."""
    if _DEVICE_ID.fullmatch(level) is None:
        raise RejectError("bad_device_id", "an id has 1 to 128 characters of A-Z a-z 0-9 _ . : -")
    return level


def foreign_id(body: Mapping[str, Any], device_id: str) -> str | None:
    """Return the `device_id` of a body when it is another than the topic's, cut to 256 characters.

    Source: MTR-005, SNS-003.
    """
    claimed = body.get("device_id")
    if claimed is None or claimed == device_id:
        return None
    text = claimed if type(claimed) is str else json_text(claimed)
    return None if text == device_id else text[:MAX_QUOTED_CHARS]


def is_timely(time_ns: int, received_at_ns: int, max_future_ns: int) -> bool:
    """Say whether a claimed time may be stored: from 2000 up to a little after its receipt.

    Units: UTC nanoseconds. Source: MTR-042, SNS-024.
    """
    return YEAR_2000_NS <= time_ns <= received_at_ns + max_future_ns
