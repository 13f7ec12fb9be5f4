"""Readers of every packet but PUBLISH, which the decoder reads itself.

Each takes (data, position, end, version) of one complete packet and leaves no byte unread: what
stands behind the last field is an error.

Source: MQTT 5.0, 3; MQTT 3.1.1, 3.
"""

# The bits and numbers are those of the standard, named in its figures, not here.
# ruff: noqa: PLR2004

from collections.abc import Callable
from typing import Final

from millrace.mqtt.fields import malformed, read_binary, read_text, read_u16
from millrace.mqtt.properties import SUBSCRIPTION_ID, WILL, Properties, read_properties
from millrace.mqtt.reasons import (
    PROTOCOL_ERROR,
    UNSUPPORTED_VERSION,
    ProtocolError,
    from_connack_v4,
)
from millrace.mqtt.values import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)

Reader = Callable[[bytes, int, int, int], Packet]

# Level 3 under its old name is 3.1: on the wire it differs from 3.1.1 in nothing but the name.
_LEVELS: Final = {("MQTT", 4): 4, ("MQTT", 5): 5, ("MQIsdp", 3): 4}


def read_level(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """Return the version that a CONNECT asks for, 4 or 5, and the position behind it."""
    name, pos = read_text(data, pos, end)
    if pos >= end:
        raise malformed("CONNECT ends before its protocol level")
    version = _LEVELS.get((name, data[pos]))
    if version is None:
        raise ProtocolError(UNSUPPORTED_VERSION, "neither MQTT 3.1, 3.1.1 nor 5.0")
    return version, pos + 1


def read_connect(data: bytes, pos: int, end: int, version: int) -> Connect:
    """Read a CONNECT from behind its protocol level."""
    if pos >= end:
        raise malformed("CONNECT ends before its flags")
    flags = data[pos]
    _check_connect_flags(flags, version)
    keep_alive_s, pos = read_u16(data, pos + 1, end)
    properties, pos = _properties(data, pos, end, version, 1)
    client_id, pos = read_text(data, pos, end)
    will = None
    if flags & 4:
        will, pos = _read_will(data, pos, end, version, flags)
    username = password = None
    if flags & 0x80:
        username, pos = read_text(data, pos, end)
    if flags & 0x40:
        password, pos = read_binary(data, pos, end)
    _finish(pos, end)
    clean_start = flags & 2 != 0
    return Connect(
        client_id, version, clean_start, keep_alive_s, username, password, will, properties
    )


def _check_connect_flags(flags: int, version: int) -> None:
    if flags & 1:
        raise malformed("the reserved flag of CONNECT is set")
    if not flags & 4 and flags & 0x38:
        raise malformed("CONNECT has options of a will, but no will")
    if flags & 0x18 == 0x18:
        raise malformed("the will has QoS 3")
    if version == 4 and flags & 0xC0 == 0x40:
        raise malformed("CONNECT has a password without a user name")


def _read_will(data: bytes, pos: int, end: int, version: int, flags: int) -> tuple[Will, int]:
    properties, pos = _properties(data, pos, end, version, WILL)
    topic, pos = read_text(data, pos, end)
    payload, pos = read_binary(data, pos, end)
    return Will(topic, payload, flags >> 3 & 3, flags & 0x20 != 0, properties), pos


def _read_connack(data: bytes, pos: int, end: int, version: int) -> ConnAck:
    if pos + 2 > end or data[pos] > 1:
        raise malformed("CONNACK is too short or has reserved flags")
    present, reason = data[pos] == 1, data[pos + 1]
    properties, pos = _properties(data, pos + 2, end, version, 2)
    _finish(pos, end)
    if version == 4:
        reason = from_connack_v4(reason)
    return ConnAck(present, reason, properties)


def _ack_reader(kind: type[PubAck | PubRec | PubRel | PubComp]) -> Reader:
    code = kind.code

    def read(data: bytes, pos: int, end: int, version: int) -> Packet:
        packet_id, pos = _packet_id(data, pos, end)
        reason, properties = 0, None
        if version == 5 and pos < end:
            reason = data[pos]
            pos += 1
            if pos < end:
                properties, pos = read_properties(data, pos, end, packet_type=code)
        _finish(pos, end)
        return kind(packet_id, reason, properties)

    return read


def _read_subscribe(data: bytes, pos: int, end: int, version: int) -> Subscribe:
    packet_id, pos = _packet_id(data, pos, end)
    properties, pos = _properties(data, pos, end, version, 8)
    filters: list[Subscription] = []
    while pos < end:
        name, pos = read_text(data, pos, end)
        if pos >= end:
            raise malformed("SUBSCRIBE ends before the options of a filter")
        filters.append(_subscription(name, data[pos], version))
        pos += 1
    if not filters:
        raise ProtocolError(PROTOCOL_ERROR, "SUBSCRIBE without a filter")
    if properties and len(properties.get(SUBSCRIPTION_ID, ())) > 1:
        raise ProtocolError(PROTOCOL_ERROR, "SUBSCRIBE with two subscription identifiers")
    return Subscribe(packet_id, filters, properties)


def _subscription(name: str, options: int, version: int) -> Subscription:
    qos = options & 3
    if qos == 3:
        raise ProtocolError(PROTOCOL_ERROR, "SUBSCRIBE asks for QoS 3")
    if options & (0xFC if version == 4 else 0xC0):
        raise malformed("SUBSCRIBE has reserved options")
    handling = options >> 4 & 3
    if handling == 3:
        raise ProtocolError(PROTOCOL_ERROR, "SUBSCRIBE asks for retain handling 3")
    return Subscription(name, qos, options & 4 != 0, options & 8 != 0, handling)


def _read_suback(data: bytes, pos: int, end: int, version: int) -> SubAck:
    packet_id, pos = _packet_id(data, pos, end)
    properties, pos = _properties(data, pos, end, version, 9)
    if pos >= end:
        raise malformed("SUBACK without a reason")
    return SubAck(packet_id, list(data[pos:end]), properties)


def _read_unsubscribe(data: bytes, pos: int, end: int, version: int) -> Unsubscribe:
    packet_id, pos = _packet_id(data, pos, end)
    properties, pos = _properties(data, pos, end, version, 10)
    filters: list[str] = []
    while pos < end:
        name, pos = read_text(data, pos, end)
        filters.append(name)
    if not filters:
        raise ProtocolError(PROTOCOL_ERROR, "UNSUBSCRIBE without a filter")
    return Unsubscribe(packet_id, filters, properties)


def _read_unsuback(data: bytes, pos: int, end: int, version: int) -> UnsubAck:
    packet_id, pos = _packet_id(data, pos, end)
    properties, pos = _properties(data, pos, end, version, 11)
    if version == 4:
        _finish(pos, end)
    return UnsubAck(packet_id, list(data[pos:end]), properties)


def _read_pingreq(_data: bytes, pos: int, end: int, _version: int) -> PingReq:
    _finish(pos, end)
    return PingReq()


def _read_pingresp(_data: bytes, pos: int, end: int, _version: int) -> PingResp:
    _finish(pos, end)
    return PingResp()


def _reason_reader(kind: type[Disconnect | Auth]) -> Reader:
    code = kind.code

    def read(data: bytes, pos: int, end: int, version: int) -> Packet:
        reason, properties = 0, None
        if version == 5 and pos < end:
            reason = data[pos]
            pos += 1
            if pos < end:
                properties, pos = read_properties(data, pos, end, packet_type=code)
        _finish(pos, end)
        return kind(reason, properties)

    return read


def _packet_id(data: bytes, pos: int, end: int) -> tuple[int, int]:
    packet_id, pos = read_u16(data, pos, end)
    if not packet_id:
        raise ProtocolError(PROTOCOL_ERROR, "packet id 0")
    return packet_id, pos


def _properties(
    data: bytes, pos: int, end: int, version: int, packet_type: int
) -> tuple[Properties | None, int]:
    if version == 4:
        return None, pos
    return read_properties(data, pos, end, packet_type=packet_type)


def _finish(pos: int, end: int) -> None:
    if pos != end:
        raise malformed("there are bytes behind the last field")


READERS: Final[dict[int, Reader]] = {
    ConnAck.code: _read_connack,
    PubAck.code: _ack_reader(PubAck),
    PubRec.code: _ack_reader(PubRec),
    PubRel.code: _ack_reader(PubRel),
    PubComp.code: _ack_reader(PubComp),
    Subscribe.code: _read_subscribe,
    SubAck.code: _read_suback,
    Unsubscribe.code: _read_unsubscribe,
    UnsubAck.code: _read_unsuback,
    PingReq.code: _read_pingreq,
    PingResp.code: _read_pingresp,
    Disconnect.code: _reason_reader(Disconnect),
    Auth.code: _reason_reader(Auth),
}
