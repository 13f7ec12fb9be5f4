"""Bytes that no honest peer sends, and their reasons: A5, A8, A9, A10, F37, F38."""

import pytest

from millrace.mqtt import reasons as r
from millrace.mqtt.fields import encode_varint
from millrace.mqtt.packets import (
    Connect,
    Decoder,
    Packet,
    PingReq,
    ProtocolError,
    Publish,
    PubRel,
    Role,
    encode,
    publish_bytes,
)
from millrace.mqtt.properties import TOPIC_ALIAS, USER_PROPERTIES_MAX, USER_PROPERTY

CONNECT_4 = encode(Connect("dev", 4), 4)
CONNECT_5 = encode(Connect("dev", 5), 5)


def refused(
    data: bytes, version: int = 0, role: Role = "server", limit: int = 1_000_000
) -> ProtocolError:
    decoder = Decoder(version, role=role, max_packet_bytes=limit)
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(data)
    return caught.value


def frame(head: int, body: bytes) -> bytes:
    return bytes((head,)) + encode_varint(len(body)) + body


def publish(topic: bytes, tail: bytes = b"") -> bytes:
    return frame(0x30, len(topic).to_bytes(2, "big") + topic + tail)


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        (b"a/+/b", r.TOPIC_NAME_INVALID),
        (b"a/#", r.TOPIC_NAME_INVALID),
        (b"#", r.TOPIC_NAME_INVALID),
        (b"", r.TOPIC_NAME_INVALID),
        (b"a\0b", r.MALFORMED_PACKET),
        ("a\uffff".encode(), r.MALFORMED_PACKET),
        ("a\ufffe".encode(), r.MALFORMED_PACKET),
        ("a\ufdd0".encode(), r.MALFORMED_PACKET),
        ("\U0001ffff".encode(), r.MALFORMED_PACKET),
        (b"\xed\xa0\x80", r.MALFORMED_PACKET),
        (b"\xc0\x80", r.MALFORMED_PACKET),
        (b"\xff", r.MALFORMED_PACKET),
    ],
)
@pytest.mark.parametrize("version", [4, 5])
def test_a5_topic_that_nobody_may_publish_under(version: int, topic: bytes, reason: int) -> None:
    if version == 5 and not topic:
        reason = r.PROTOCOL_ERROR
    tail = b"\0" if version == 5 else b""
    assert refused(publish(topic, tail), version).reason_code == reason


A8 = {
    "varint of five bytes": (b"\x30\xff\xff\xff\xff\x01", r.MALFORMED_PACKET),
    "varint not in its shortest form": (b"\xc0\x80\x00", r.MALFORMED_PACKET),
    "topic beyond the end": (b"\x30\x04\x00\x09ab", r.MALFORMED_PACKET),
    "topic beyond the end, more behind": (b"\x30\x04\x00\x09ab" + b"\0" * 20, r.MALFORMED_PACKET),
    "publish of one byte": (b"\x30\x01\x00", r.MALFORMED_PACKET),
    "publish of no byte": (b"\x30\x00", r.MALFORMED_PACKET),
    "publish without its packet id": (b"\x32\x03\x00\x01a", r.MALFORMED_PACKET),
    "publish with half a packet id": (b"\x32\x04\x00\x01a\x01", r.MALFORMED_PACKET),
    "puback too long": (b"\x40\x03\x00\x01\x00", r.MALFORMED_PACKET),
    "puback too short": (b"\x40\x01\x00", r.MALFORMED_PACKET),
    "puback with flags": (b"\x41\x02\x00\x01", r.MALFORMED_PACKET),
    "pubrel without its flags": (b"\x60\x02\x00\x01", r.MALFORMED_PACKET),
    "pingreq with a body": (b"\xc0\x01\x00", r.MALFORMED_PACKET),
    "type 0": (b"\x00\x00", r.PROTOCOL_ERROR),
    "type 15 in 3.1.1": (b"\xf0\x00", r.PROTOCOL_ERROR),
    "connack from a client": (b"\x20\x02\x00\x00", r.PROTOCOL_ERROR),
    "a second CONNECT": (CONNECT_4, r.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", A8)
def test_a8_lengths_that_lie(name: str) -> None:
    data, reason = A8[name]
    assert refused(CONNECT_4 + data).reason_code == reason


@pytest.mark.parametrize("data", [b"\xc0\x00", b"\x30\x03\x00\x01a", b"\xe0\x00", b"\x82\x00"])
def test_a8_packet_before_connect(data: bytes) -> None:
    assert refused(data).reason_code == r.PROTOCOL_ERROR


BODY = b"\0\4MQTT"
CONNECTS = {
    "another protocol": (b"\0\4HTTP\4\2\0\0\0\0", r.UNSUPPORTED_VERSION),
    "version 6": (BODY + b"\6\2\0\0\0\0\0", r.UNSUPPORTED_VERSION),
    "reserved flag": (BODY + b"\4\3\0\0\0\0", r.MALFORMED_PACKET),
    "will with QoS 3": (BODY + b"\4\x1e\0\0\0\0\0\1t\0\0", r.MALFORMED_PACKET),
    "QoS of no will": (BODY + b"\4\x0a\0\0\0\0", r.MALFORMED_PACKET),
    "retain of no will": (BODY + b"\4\x22\0\0\0\0", r.MALFORMED_PACKET),
    "password without a name": (BODY + b"\4\x42\0\0\0\0\0\1p", r.MALFORMED_PACKET),
    "bytes behind the end": (BODY + b"\4\2\0\0\0\0x", r.MALFORMED_PACKET),
    "no level": (BODY, r.MALFORMED_PACKET),
    "no flags": (BODY + b"\4", r.MALFORMED_PACKET),
}


@pytest.mark.parametrize("name", CONNECTS)
def test_a8_connect(name: str) -> None:
    body, reason = CONNECTS[name]
    assert refused(frame(0x10, body)).reason_code == reason


def property_publish(section: bytes) -> bytes:
    return publish(b"t", encode_varint(len(section)) + section)


A9 = {
    "ten thousand user properties": (
        b"\x26\0\1k\0\1v" * 10_000,
        r.QUOTA_EXCEEDED,
    ),
    "a property twice": (b"\x01\0\x01\0", r.PROTOCOL_ERROR),
    "no such property": (b"\x7f\0", r.MALFORMED_PACKET),
    "a property of CONNECT": (b"\x21\0\x05", r.PROTOCOL_ERROR),
    "an integer cut off": (b"\x02\0\0", r.MALFORMED_PACKET),
    "a text cut off": (b"\x03\0\x09ab", r.MALFORMED_PACKET),
    "half a pair": (b"\x26\0\1k", r.MALFORMED_PACKET),
    "a flag of 2": (b"\x01\x02", r.PROTOCOL_ERROR),
    "topic alias 0": (b"\x23\0\0", r.TOPIC_ALIAS_INVALID),
    "topic alias over the maximum": (b"\x23\0\x09", r.TOPIC_ALIAS_INVALID),
    "subscription identifier 0": (b"\x0b\0", r.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", A9)
def test_a9_properties(name: str) -> None:
    section, reason = A9[name]
    assert refused(property_publish(section), 5).reason_code == reason


def test_a9_properties_reach_beyond_the_packet() -> None:
    assert refused(publish(b"t", b"\x05\x01\0"), 5).reason_code == r.MALFORMED_PACKET
    assert refused(publish(b"t"), 5).reason_code == r.MALFORMED_PACKET
    # The next packet begins with what would be an empty property section.
    assert refused(publish(b"t") + b"\0\0", 5).reason_code == r.MALFORMED_PACKET


def test_a9_many_user_properties_are_allowed_up_to_the_limit() -> None:
    pairs = [("k", "v")] * USER_PROPERTIES_MAX
    message = Publish("t", properties={USER_PROPERTY: pairs})
    assert Decoder(5).feed(encode(message, 5)) == [message]


A10 = {
    "QoS 3": (b"\x36\x05\0\1a\0\1", r.MALFORMED_PACKET),
    "DUP at QoS 0": (b"\x38\x03\0\1a", r.MALFORMED_PACKET),
    "publish with packet id 0": (b"\x32\x05\0\1a\0\0", r.PROTOCOL_ERROR),
    "puback with packet id 0": (b"\x40\x02\0\0", r.PROTOCOL_ERROR),
    "subscribe without filters": (b"\x82\x02\0\1", r.PROTOCOL_ERROR),
    "subscribe with packet id 0": (b"\x82\x06\0\0\0\1a\0", r.PROTOCOL_ERROR),
    "subscribe to QoS 3": (b"\x82\x06\0\1\0\1a\3", r.PROTOCOL_ERROR),
    "subscribe with reserved options": (b"\x82\x06\0\1\0\1a\4", r.MALFORMED_PACKET),
    "subscribe without its flags": (b"\x80\x06\0\1\0\1a\0", r.MALFORMED_PACKET),
    "subscribe without options": (b"\x82\x05\0\1\0\1a", r.MALFORMED_PACKET),
    "unsubscribe without filters": (b"\xa2\x02\0\1", r.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", A10)
def test_a10_ids_and_qos(name: str) -> None:
    data, reason = A10[name]
    assert refused(data, 4).reason_code == reason


def test_a10_options_of_5_0() -> None:
    assert refused(b"\x82\x07\0\1\0\0\1a\x30", 5).reason_code == r.PROTOCOL_ERROR
    assert refused(b"\x82\x07\0\1\0\0\1a\x40", 5).reason_code == r.MALFORMED_PACKET
    two_ids = b"\x82\x0b\0\1\4\x0b\1\x0b\2\0\1a\0"
    assert refused(two_ids, 5).reason_code == r.PROTOCOL_ERROR


@pytest.mark.parametrize("head", [0x30, 0x10, 0x82])
def test_f37_a_length_over_the_limit_is_refused_at_the_header(head: int) -> None:
    decoder = Decoder(4, max_packet_bytes=1000)
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(bytes((head,)) + b"\xff\xff\xff\x7f")
    assert caught.value.reason_code == r.PACKET_TOO_LARGE


def test_f37_the_limit_counts_the_whole_packet() -> None:
    raw = publish_bytes("a", b"x" * 95, version=4)
    assert len(raw) == 100
    assert len(Decoder(4, max_packet_bytes=100).feed(raw)) == 1
    assert refused(raw, 4, limit=99).reason_code == r.PACKET_TOO_LARGE


def test_f38_client_id_that_is_not_utf8() -> None:
    body = BODY + b"\4\2\0\0\0\1\xff"
    assert refused(frame(0x10, body)).reason_code == r.MALFORMED_PACKET


def test_what_came_before_the_offence_counts() -> None:
    good: list[Packet] = [Connect("dev", 4), PingReq(), PubRel(7)]
    raw = b"".join(encode(packet, 4) for packet in good)
    error = refused(raw + b"\x36\x05\0\1a\0\1" + b"\xc0\x00")
    assert error.packets == good
    assert error.reason == "malformed_packet"


def test_the_version_is_known_even_if_connect_is_refused() -> None:
    decoder = Decoder()
    with pytest.raises(ProtocolError):
        decoder.feed(frame(0x10, BODY + b"\5\3\0\0\0\0\0"))
    assert decoder.version == 5


def test_a_pipelined_publish_behind_connect_is_read() -> None:
    """MTR-010: PUBLISH may come in the same segment as CONNECT."""
    message = Publish("iot/a/telemetry", b"{}", 1, packet_id=1)
    assert Decoder().feed(CONNECT_5 + encode(message, 5))[1] == message


class TestAliases:
    def test_an_alias_stands_for_the_topic_it_was_given(self) -> None:
        decoder = Decoder(5, alias_maximum=2)
        first = publish_bytes("a/b", b"1", version=5, properties={TOPIC_ALIAS: 2})
        later = publish_bytes("", b"2", version=5, properties={TOPIC_ALIAS: 2})
        again = publish_bytes("c", b"3", version=5, properties={TOPIC_ALIAS: 2})
        packets = decoder.feed(first + later + again + later)
        assert [p.topic for p in packets if isinstance(p, Publish)] == ["a/b", "a/b", "c", "c"]

    def test_an_alias_that_was_never_given(self) -> None:
        decoder = Decoder(5, alias_maximum=2)
        with pytest.raises(ProtocolError) as caught:
            decoder.feed(publish_bytes("", b"2", version=5, properties={TOPIC_ALIAS: 1}))
        assert caught.value.reason_code == r.PROTOCOL_ERROR

    def test_neither_topic_nor_alias(self) -> None:
        assert refused(publish(b"", b"\0"), 5).reason_code == r.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("version", "data"),
    [(4, b"\xe0\x00"), (4, b"\x82\x06\0\1\0\1a\0"), (5, b"\xc0\x00"), (4, b"\x90\x02\0\1")],
)
def test_a_server_may_not_send_everything(version: int, data: bytes) -> None:
    assert refused(data, version, "client").reason_code in {r.PROTOCOL_ERROR, r.MALFORMED_PACKET}
