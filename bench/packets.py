"""MQTT 3.1.1 packets of a load, encoded with the standard library alone.

The load does not share code with what it measures.
"""

import struct

PUBACK_BYTES = 4
CONNACK_BYTES = 4


def publish(topic: bytes, payload: bytes, packet_id: int) -> bytes:
    """Return a QoS 1 PUBLISH."""
    body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", packet_id) + payload
    return b"\x32" + _length(len(body)) + body


def connect(client_id: bytes) -> bytes:
    """Return a CONNECT with a clean session and a keep-alive of one hour."""
    body = b"\x00\x04MQTT\x04\x02\x0e\x10" + struct.pack(">H", len(client_id)) + client_id
    return b"\x10" + _length(len(body)) + body


def subscribe(topic_filter: bytes, packet_id: int) -> bytes:
    """Return a SUBSCRIBE for one filter at QoS 1."""
    body = struct.pack(">HH", packet_id, len(topic_filter)) + topic_filter + b"\x01"
    return b"\x82" + _length(len(body)) + body


def _length(number: int) -> bytes:
    out = bytearray()
    while True:
        number, digit = divmod(number, 128)
        out.append(digit | (128 if number else 0))
        if not number:
            return bytes(out)
