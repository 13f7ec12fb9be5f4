"""Packets to bytes.

What cannot be put on the wire is a ValueError: it is our fault, never the peer's.

Source: MQTT 5.0, 3; MQTT 3.1.1, 3.
"""

# The bits and numbers are those of the standard, named in its figures, not here.
# ruff: noqa: PLR2004

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from millrace.mqtt.fields import TEXT_MAX, encode_binary, encode_text, encode_varint
from millrace.mqtt.properties import Properties, encode_properties
from millrace.mqtt.reasons import connack_v4
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
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)

Encoder = Callable[[Any, int], bytes]

PINGREQ: Final = b"\xc0\x00"
PINGRESP: Final = b"\xd0\x00"
# First byte, length of one or two bytes, length of the topic.
_PUBLISH_1: Final = struct.Struct(">BBH").pack
_PUBLISH_2: Final = struct.Struct(">BBBH").pack


def encode(packet: Packet, version: int) -> bytes:
    """Return the bytes of a packet in version 4 (3.1.1) or 5.

    Raises:
        ValueError: A field does not fit, or this version does not have the packet.
    """
    if type(packet) is Publish:
        return publish_bytes(
            packet.topic,
            packet.payload,
            packet.qos,
            packet.retain,
            packet.dup,
            packet.packet_id,
            version,
            packet.properties,
        )
    return _ENCODERS[type(packet)](packet, version)


def puback(packet_id: int) -> bytes:
    """Return the PUBACK of success, which is the same in both versions."""
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


def pubacks(packet_ids: Sequence[int]) -> bytes:
    """Return the PUBACKs of success for many ids, in their order."""
    return struct.pack(f">{len(packet_ids)}I", *[0x40020000 | one for one in packet_ids])


def pubrecs(packet_ids: Sequence[int]) -> bytes:
    """Return the PUBRECs of success for many ids, in their order."""
    return struct.pack(f">{len(packet_ids)}I", *[0x50020000 | one for one in packet_ids])


# Positional, because it is called a hundred thousand times a second.
def publish_bytes(  # noqa: PLR0913, PLR0917
    topic: str,
    payload: bytes,
    qos: int = 0,
    retain: bool = False,  # noqa: FBT001, FBT002
    dup: bool = False,  # noqa: FBT001, FBT002
    packet_id: int = 0,
    version: int = 5,
    properties: Properties | None = None,
) -> bytes:
    """Return the bytes of a PUBLISH.

    Shape: `topic` has been checked (`topics.check_topic`), or is empty beside an alias.
    Raises:
        ValueError: The packet id is missing or out of range, or something is too long.
    """
    name = topic.encode()
    size = len(name)
    if size > TEXT_MAX:
        raise ValueError(f"a topic of {size} bytes")
    middle = name
    if qos:
        if not 0 < packet_id < 65_536 or qos > 2:
            raise ValueError(f"QoS {qos} with packet id {packet_id}")
        middle += packet_id.to_bytes(2, "big")
    if version == 5:
        middle += encode_properties(properties) if properties else b"\0"
    length = 2 + len(middle) + len(payload)
    head = 0x30 | (dup and 8) | qos << 1 | (retain and 1)
    if length < 128:
        return _PUBLISH_1(head, length, size) + middle + payload
    if length < 16_384:
        return _PUBLISH_2(head, length & 127 | 128, length >> 7, size) + middle + payload
    return b"".join(
        (bytes((head,)), encode_varint(length), size.to_bytes(2, "big"), middle, payload)
    )


def _frame(head: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((head,)) + encode_varint(len(body)) + body


def _section(properties: Properties | None, version: int) -> bytes:
    return encode_properties(properties) if version == 5 else b""


def _packet_id(packet_id: int) -> bytes:
    if not 0 < packet_id < 65_536:
        raise ValueError(f"packet id {packet_id}")
    return packet_id.to_bytes(2, "big")


def _connect(packet: Connect, version: int) -> bytes:
    if packet.version != version:
        raise ValueError(f"a CONNECT of version {packet.version} in version {version}")
    will = packet.will
    flags = packet.clean_start and 2
    tail = [_section(packet.properties, version), encode_text(packet.client_id)]
    if will is not None:
        flags |= 4 | will.qos << 3 | (will.retain and 0x20)
        tail += [
            _section(will.properties, version), encode_text(will.topic), encode_binary(will.payload)
        ]  # fmt: skip
    if packet.username is not None:
        flags |= 0x80
        tail.append(encode_text(packet.username))
    if packet.password is not None:
        if version == 4 and packet.username is None:
            raise ValueError("3.1.1 has no password without a user name")
        flags |= 0x40
        tail.append(encode_binary(packet.password))
    front = b"\0\4MQTT" + bytes((version, flags)) + packet.keep_alive_s.to_bytes(2, "big")
    return _frame(0x10, front, *tail)


def _connack(packet: ConnAck, version: int) -> bytes:
    reason = packet.reason if version == 5 else connack_v4(packet.reason)
    front = bytes((packet.session_present, reason))
    return _frame(0x20, front, _section(packet.properties, version))


def _ack(head: int) -> Encoder:
    def write(packet: PubAck | PubRec | PubRel | PubComp, version: int) -> bytes:
        return _frame(head, _packet_id(packet.packet_id), _reason(packet, version))

    return write


def _reason(packet: PubAck | PubRec | PubRel | PubComp | Disconnect | Auth, version: int) -> bytes:
    """Return a reason and properties that may both be left out, as short as they go."""
    if version == 4 or not (packet.reason or packet.properties):
        return b""
    if not packet.properties:
        return bytes((packet.reason,))
    return bytes((packet.reason,)) + encode_properties(packet.properties)


def _subscribe(packet: Subscribe, version: int) -> bytes:
    parts = [_packet_id(packet.packet_id), _section(packet.properties, version)]
    for one in packet.filters:
        options = one.qos
        if version == 5:
            options |= (
                (one.no_local and 4) | (one.retain_as_published and 8) | one.retain_handling << 4
            )
        parts += [encode_text(one.filter), bytes((options,))]
    return _frame(0x82, *parts)


def _suback(packet: SubAck, version: int) -> bytes:
    reasons = packet.reasons
    if version == 4:
        reasons = [min(reason, 0x80) for reason in reasons]
    return _frame(
        0x90, _packet_id(packet.packet_id), _section(packet.properties, version), bytes(reasons)
    )


def _unsubscribe(packet: Unsubscribe, version: int) -> bytes:
    filters = [encode_text(one) for one in packet.filters]
    return _frame(
        0xA2, _packet_id(packet.packet_id), _section(packet.properties, version), *filters
    )


def _unsuback(packet: UnsubAck, version: int) -> bytes:
    tail = encode_properties(packet.properties) + bytes(packet.reasons) if version == 5 else b""
    return _frame(0xB0, _packet_id(packet.packet_id), tail)


def _disconnect(packet: Disconnect, version: int) -> bytes:
    return _frame(0xE0, _reason(packet, version))


def _auth(packet: Auth, version: int) -> bytes:
    if version == 4:
        raise ValueError("3.1.1 has no AUTH")
    return _frame(0xF0, _reason(packet, version))


_ENCODERS: Final[dict[type[Packet], Encoder]] = {
    Connect: _connect,
    ConnAck: _connack,
    PubAck: _ack(0x40),
    PubRec: _ack(0x50),
    PubRel: _ack(0x62),
    PubComp: _ack(0x70),
    Subscribe: _subscribe,
    SubAck: _suback,
    Unsubscribe: _unsubscribe,
    UnsubAck: _unsuback,
    PingReq: lambda _packet, _version: PINGREQ,
    PingResp: lambda _packet, _version: PINGRESP,
    Disconnect: _disconnect,
    Auth: _auth,
}
