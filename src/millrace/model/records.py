"""Raw records on the log of a cluster: JSON that any other consumer can read.

Source: F2-120, D-50.
"""

import base64
import json
from functools import lru_cache
from typing import Final

from millrace.errors import RejectError
from millrace.model.documents import read_json
from millrace.model.instants import SECOND_NS
from millrace.model.message import DUP, QOS_MASK, RETAIN

UNKNOWN_DEVICE: Final = "unknown"
# Quotes inside a JSON text are escaped, so what stands before the payload ends at the first of
# these, and what stands behind it begins at the last of those.
PAYLOAD: Final = b', "payload": '
TIMESTAMP: Final = b', "timestamp": '

_BOM: Final = b"\xef\xbb\xbf"
_TAIL: Final = (
    TIMESTAMP + b'%b, "received_at_ns": %d, "qos": %d, "retain": %b, "dup": %b, "client_id": %b}'
)


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
    head, tail = record_head(topic, device_id), record_tail(received_at_ns, flags, client_id)
    return b"".join((head, embedded(payload), tail))


def record_head(topic: str, device_id: str) -> bytes:
    """Return what stands before the payload; the same for all messages of a topic."""
    return _json({"original_topic": topic, "device_id": device_id})[:-1] + PAYLOAD


def record_tail(received_at_ns: int, flags: int, client_id: str) -> bytes:
    """Return what stands behind the payload."""
    return _TAIL % (
        repr(received_at_ns / SECOND_NS).encode(),
        received_at_ns,
        flags & QOS_MASK,
        b"true" if flags & RETAIN else b"false",
        b"true" if flags & DUP else b"false",
        _client(client_id),
    )


def in_base64(payload: bytes) -> bytes:
    """Return the JSON object that stands for bytes as they are."""
    return _json({"base64": base64.b64encode(payload).decode("ascii")})


def unpacked(text: bytes) -> bytes:
    """Return the payload that `embedded` made this JSON text of."""
    if text.startswith(b'"'):
        return str(json.loads(text)).encode("utf-8", "surrogatepass")
    if text.startswith(b"{") and b"base64" in text:
        try:
            value = read_json(text)
        except RejectError:
            return text
        if value.keys() == {"base64"} and type(value["base64"]) is str:
            return base64.b64decode(value["base64"])
    return text


def embedded(payload: bytes) -> bytes:
    """Return the JSON text that stands for a payload.

    Valid JSON stands for itself byte for byte. A text that is no JSON, a JSON string, an object
    whose only key is `base64` and the empty payload are a string of the payload's text; bytes
    that are no UTF-8 are `{"base64": ...}`.
    """
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return in_base64(payload)
    try:
        value = read_json(payload)
    except RejectError:
        return _json(text)
    is_ambiguous = type(value) is str or (type(value) is dict and value.keys() == {"base64"})
    if is_ambiguous or payload.startswith(_BOM):
        return _json(text)
    return payload


@lru_cache(100_000)
def _client(client_id: str) -> bytes:
    return _json(client_id)


def _json(value: object) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a pair; as an escape it survives
        return json.dumps(value).encode()
