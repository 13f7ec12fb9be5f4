"""Raw records on the log of a cluster: JSON that any other consumer can read.

Source: F2-120, D-50.
"""

import base64
import json
from typing import Final

from millrace.errors import RejectError
from millrace.model.documents import read_json
from millrace.model.instants import SECOND_NS
from millrace.model.message import DUP, QOS_MASK, RETAIN

UNKNOWN_DEVICE: Final = "unknown"

_BOM: Final = b"\xef\xbb\xbf"


def raw_record(
    topic: str,
    payload: bytes,
    received_at_ns: int,
    *,
    device_id: str = UNKNOWN_DEVICE,
    flags: int = 0,
    client_id: str = "",
) -> bytes:
    """Return the raw record of a message; the bytes of the payload can be recovered from it.

    Units: `received_at_ns` UTC nanoseconds; `flags` are those of `model.message`.
    """
    head = _json({"original_topic": topic, "device_id": device_id})
    tail = _json(
        {
            "timestamp": received_at_ns / SECOND_NS,
            "received_at_ns": received_at_ns,
            "qos": flags & QOS_MASK,
            "retain": bool(flags & RETAIN),
            "dup": bool(flags & DUP),
            "client_id": client_id,
        }
    )
    return b"".join((head[:-1], b', "payload": ', embedded(payload), b", ", tail[1:]))


def embedded(payload: bytes) -> bytes:
    """Return the JSON text that stands for a payload.

    Valid JSON stands for itself byte for byte. A text that is no JSON, a JSON string, an object
    whose only key is `base64` and the empty payload are a string of the payload's text; bytes
    that are no UTF-8 are `{"base64": ...}`.
    """
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return _json({"base64": base64.b64encode(payload).decode("ascii")})
    try:
        value = read_json(payload)
    except RejectError:
        return _json(text)
    is_ambiguous = type(value) is str or (type(value) is dict and value.keys() == {"base64"})
    if is_ambiguous or payload.startswith(_BOM):
        return _json(text)
    return payload


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
