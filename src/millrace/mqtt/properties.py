"""Properties of MQTT 5: a dict from the identifier to its value.

A user property maps to a list of (name, value) pairs, a subscription identifier to a list of
integers; every other property maps to one value. An absent or empty property section is None.

Rules: a property twice is an error, as is one that its packet may not carry; the number of user
properties is limited, because ten thousand of them are an attack (A9), not a message.

Source: MQTT 5.0, 2.2.2.
"""

from typing import Any, Final

from millrace.mqtt.fields import (
    encode_binary,
    encode_text,
    encode_varint,
    malformed,
    read_binary,
    read_text,
    read_varint,
)
from millrace.mqtt.reasons import (
    PROTOCOL_ERROR,
    QUOTA_EXCEEDED,
    TOPIC_ALIAS_INVALID,
    ProtocolError,
)

Properties = dict[int, Any]

PAYLOAD_FORMAT: Final = 1
MESSAGE_EXPIRY: Final = 2
CONTENT_TYPE: Final = 3
RESPONSE_TOPIC: Final = 8
CORRELATION_DATA: Final = 9
SUBSCRIPTION_ID: Final = 11
SESSION_EXPIRY: Final = 17
ASSIGNED_CLIENT_ID: Final = 18
SERVER_KEEP_ALIVE: Final = 19
AUTHENTICATION_METHOD: Final = 21
AUTHENTICATION_DATA: Final = 22
REQUEST_PROBLEM_INFORMATION: Final = 23
WILL_DELAY: Final = 24
REQUEST_RESPONSE_INFORMATION: Final = 25
RESPONSE_INFORMATION: Final = 26
SERVER_REFERENCE: Final = 28
REASON_STRING: Final = 31
RECEIVE_MAXIMUM: Final = 33
TOPIC_ALIAS_MAXIMUM: Final = 34
TOPIC_ALIAS: Final = 35
MAXIMUM_QOS: Final = 36
RETAIN_AVAILABLE: Final = 37
USER_PROPERTY: Final = 38
MAXIMUM_PACKET_SIZE: Final = 39
WILDCARD_AVAILABLE: Final = 40
SUBSCRIPTION_ID_AVAILABLE: Final = 41
SHARED_AVAILABLE: Final = 42

USER_PROPERTIES_MAX: Final = 128

# Where a property may stand: the type of the packet (its first four bits), 0 for a will.
WILL: Final = 0
_CONNECT, _CONNACK, _PUBLISH, _SUBSCRIBE, _DISCONNECT, _AUTH = 1, 2, 3, 8, 14, 15
_ACKS = (4, 5, 6, 7, 9, 11)
_EVERYWHERE = (WILL, _CONNECT, _CONNACK, _PUBLISH, *_ACKS, _SUBSCRIBE, 10, _DISCONNECT, _AUTH)
_MESSAGE = (WILL, _PUBLISH)

_FLAG, _U16, _U32, _VARINT, _TEXT, _BINARY, _PAIR = range(7)
_WIDTHS: Final = {_FLAG: 1, _U16: 2, _U32: 4}

TABLE: Final[dict[int, tuple[int, tuple[int, ...]]]] = {
    PAYLOAD_FORMAT: (_FLAG, _MESSAGE),
    MESSAGE_EXPIRY: (_U32, _MESSAGE),
    CONTENT_TYPE: (_TEXT, _MESSAGE),
    RESPONSE_TOPIC: (_TEXT, _MESSAGE),
    CORRELATION_DATA: (_BINARY, _MESSAGE),
    SUBSCRIPTION_ID: (_VARINT, (_PUBLISH, _SUBSCRIBE)),
    SESSION_EXPIRY: (_U32, (_CONNECT, _CONNACK, _DISCONNECT)),
    ASSIGNED_CLIENT_ID: (_TEXT, (_CONNACK,)),
    SERVER_KEEP_ALIVE: (_U16, (_CONNACK,)),
    AUTHENTICATION_METHOD: (_TEXT, (_CONNECT, _CONNACK, _AUTH)),
    AUTHENTICATION_DATA: (_BINARY, (_CONNECT, _CONNACK, _AUTH)),
    REQUEST_PROBLEM_INFORMATION: (_FLAG, (_CONNECT,)),
    WILL_DELAY: (_U32, (WILL,)),
    REQUEST_RESPONSE_INFORMATION: (_FLAG, (_CONNECT,)),
    RESPONSE_INFORMATION: (_TEXT, (_CONNACK,)),
    SERVER_REFERENCE: (_TEXT, (_CONNACK, _DISCONNECT)),
    REASON_STRING: (_TEXT, (_CONNACK, *_ACKS, _DISCONNECT, _AUTH)),
    RECEIVE_MAXIMUM: (_U16, (_CONNECT, _CONNACK)),
    TOPIC_ALIAS_MAXIMUM: (_U16, (_CONNECT, _CONNACK)),
    TOPIC_ALIAS: (_U16, (_PUBLISH,)),
    MAXIMUM_QOS: (_FLAG, (_CONNACK,)),
    RETAIN_AVAILABLE: (_FLAG, (_CONNACK,)),
    USER_PROPERTY: (_PAIR, _EVERYWHERE),
    MAXIMUM_PACKET_SIZE: (_U32, (_CONNECT, _CONNACK)),
    WILDCARD_AVAILABLE: (_FLAG, (_CONNACK,)),
    SUBSCRIPTION_ID_AVAILABLE: (_FLAG, (_CONNACK,)),
    SHARED_AVAILABLE: (_FLAG, (_CONNACK,)),
}

# Zero would mean nothing in these, so it is an error.
_NOT_ZERO: Final = (RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE, SUBSCRIPTION_ID)


def read_properties(
    data: bytes, pos: int, end: int, *, packet_type: int
) -> tuple[Properties | None, int]:
    """Read a property section with its length; None when it is empty.

    Shape: `packet_type` is the first four bits of the packet, `WILL` for those of a will.
    Raises:
        ProtocolError: Malformed, unknown, out of place, repeated, or too many.
    """
    length, pos = read_varint(data, pos, end)
    stop = pos + length
    if stop > end:
        raise malformed("the properties reach beyond the end of the packet")
    if not length:
        return None, pos
    found: Properties = {}
    while pos < stop:
        pos = _read_one(data, pos, stop, packet_type, found)
    return found, stop


def _read_one(data: bytes, pos: int, stop: int, packet_type: int, found: Properties) -> int:
    identifier = data[pos]
    kind, places = TABLE.get(identifier, (-1, ()))
    if kind < 0:
        raise malformed(f"there is no property {identifier}")
    if packet_type not in places:
        raise ProtocolError(PROTOCOL_ERROR, f"property {identifier} has no place in this packet")
    value, pos = _read_value(data, pos + 1, stop, kind)
    _check(identifier, kind, value)
    if identifier == USER_PROPERTY or (identifier == SUBSCRIPTION_ID and packet_type == _PUBLISH):
        values = found.setdefault(identifier, [])
        values.append(value)
        if len(values) > USER_PROPERTIES_MAX:
            raise ProtocolError(QUOTA_EXCEEDED, f"more than {USER_PROPERTIES_MAX} of one property")
        return pos
    if identifier in found:
        raise ProtocolError(PROTOCOL_ERROR, f"property {identifier} stands twice")
    found[identifier] = [value] if identifier == SUBSCRIPTION_ID else value
    return pos


def _read_value(data: bytes, pos: int, stop: int, kind: int) -> tuple[Any, int]:
    width = _WIDTHS.get(kind)
    if width is not None:
        after = pos + width
        if after > stop:
            raise malformed("the properties end inside an integer")
        return int.from_bytes(data[pos:after], "big"), after
    if kind == _VARINT:
        return read_varint(data, pos, stop)
    if kind == _BINARY:
        return read_binary(data, pos, stop)
    text, pos = read_text(data, pos, stop)
    if kind == _TEXT:
        return text, pos
    value, pos = read_text(data, pos, stop)
    return (text, value), pos


def _check(identifier: int, kind: int, value: Any) -> None:
    if kind == _FLAG and value > 1:
        raise ProtocolError(PROTOCOL_ERROR, f"property {identifier} must be 0 or 1")
    if value == 0 and identifier in _NOT_ZERO:
        raise ProtocolError(PROTOCOL_ERROR, f"property {identifier} must not be 0")
    if value == 0 and identifier == TOPIC_ALIAS:
        raise ProtocolError(TOPIC_ALIAS_INVALID, "topic alias 0")


def encode_properties(properties: Properties | None) -> bytes:
    """Return a property section with its length in front.

    Raises:
        ValueError: There is no such property, or its value does not fit.
    """
    if not properties:
        return b"\0"
    parts: list[bytes] = []
    for identifier, value in properties.items():
        if identifier not in TABLE:
            raise ValueError(f"there is no property {identifier}")
        kind = TABLE[identifier][0]
        values = value if identifier in {USER_PROPERTY, SUBSCRIPTION_ID} else (value,)
        parts += [bytes((identifier,)) + _encode_value(kind, one) for one in values]
    body = b"".join(parts)
    return encode_varint(len(body)) + body


def _encode_value(kind: int, value: Any) -> bytes:
    width = _WIDTHS.get(kind)
    if width is not None:
        return int(value).to_bytes(width, "big")
    if kind == _VARINT:
        return encode_varint(value)
    if kind == _BINARY:
        return encode_binary(value)
    if kind == _TEXT:
        return encode_text(value)
    return encode_text(value[0]) + encode_text(value[1])
