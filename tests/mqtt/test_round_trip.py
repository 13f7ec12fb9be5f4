"""What is encoded is decoded to the same value, however the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.mqtt.packets import (
    Connect,
    Decoder,
    Packet,
    ProtocolError,
    PubAck,
    Publish,
    PubRec,
    Role,
    encode,
    puback,
    pubacks,
    publish_bytes,
    pubrecs,
)
from tests.mqtt.packet_strategies import connects, publishes, to_client, to_server

VERSIONS = pytest.mark.parametrize("version", [4, 5])
some = settings(max_examples=150, deadline=None)


def fed(decoder: Decoder, data: bytes, cuts: list[int]) -> list[Packet]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [packet for a, b in pairwise(edges) for packet in decoder.feed(data[a:b])]


@VERSIONS
@some
@given(data=st.data())
def test_what_a_client_sends_is_read_back(version: int, data: st.DataObject) -> None:
    packets: list[Packet] = [data.draw(connects(version))]
    packets += data.draw(st.lists(to_server(version), max_size=6))
    raw = b"".join(encode(packet, version) for packet in packets)
    cuts = data.draw(st.lists(st.integers(0, 4000), max_size=6))
    decoder = Decoder(role="server")
    assert fed(decoder, raw, cuts) == packets
    assert decoder.version == version


@VERSIONS
@some
@given(data=st.data())
def test_what_a_server_sends_is_read_back(version: int, data: st.DataObject) -> None:
    packets = data.draw(st.lists(to_client(version), min_size=1, max_size=6))
    raw = b"".join(encode(packet, version) for packet in packets)
    cuts = data.draw(st.lists(st.integers(0, 4000), max_size=6))
    assert fed(Decoder(version, role="client"), raw, cuts) == packets


@VERSIONS
@pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_every_width_of_the_length(version: int, size: int) -> None:
    message = Publish("a/b", b"x" * size, 1, packet_id=65_535)
    raw = encode(message, version)
    assert Decoder(version).feed(raw) == [message]
    decoder = Decoder(version)
    head = [packet for byte in raw[:8] for packet in decoder.feed(bytes((byte,)))]
    assert head + decoder.feed(raw[8:]) == [message]


@VERSIONS
@some
@given(data=st.data())
def test_a_packet_is_complete_only_at_its_last_byte(version: int, data: st.DataObject) -> None:
    packet = data.draw(publishes(version) | to_server(version))
    raw = encode(packet, version)
    for cut in range(len(raw)):
        decoder = Decoder(version)
        assert decoder.feed(raw[:cut]) == []
        assert decoder.feed(raw[cut:]) == [packet]


@VERSIONS
@some
@given(data=st.data())
def test_a_packet_that_claims_to_end_early_is_malformed(version: int, data: st.DataObject) -> None:
    """A8: a remaining length that cuts a packet inside a field never passes as a shorter one."""
    packet = data.draw(connects(version))
    raw = encode(packet, version)
    start = 2 if raw[1] < 128 else 3
    for cut in range(start, len(raw)):
        body = raw[start:cut]
        size = len(body)
        length = bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))
        with pytest.raises(ProtocolError):
            Decoder().feed(raw[:1] + length + body)


@VERSIONS
@some
@given(data=st.binary(max_size=80), role=st.sampled_from(["server", "client"]))
def test_any_bytes_give_packets_or_a_protocol_error(version: int, data: bytes, role: Role) -> None:
    decoder = Decoder(version, role=role)
    try:
        packets = decoder.feed(data)
    except ProtocolError as error:
        packets = error.packets
        with pytest.raises(ProtocolError):
            decoder.feed(b"")
    for packet in packets:
        assert Decoder(version, role=role).feed(encode(packet, version)) == [packet]


def test_many_acknowledgements_are_those_of_one() -> None:
    ids = [1, 255, 256, 65_535]
    assert pubacks(ids) == b"".join(puback(one) for one in ids)
    assert Decoder(4).feed(pubacks(ids)) == [PubAck(one) for one in ids]
    assert Decoder(5).feed(pubrecs(ids)) == [PubRec(one) for one in ids]
    assert pubacks([]) == b""


def test_mqtt_3_1_counts_as_3_1_1() -> None:
    raw = b"\x10\x11\0\x06MQIsdp\x03\x02\0\x3c\0\x03dev"
    assert Decoder().feed(raw) == [Connect("dev", 4, clean_start=True, keep_alive_s=60)]


@pytest.mark.parametrize(
    ("qos", "packet_id"), [(1, 0), (2, 65_536), (3, 1)], ids=["no id", "id too large", "QoS 3"]
)
def test_a_publish_that_cannot_be_is_our_own_fault(qos: int, packet_id: int) -> None:
    with pytest.raises(ValueError, match="packet id"):
        publish_bytes("a", b"", qos, packet_id=packet_id)


def test_a_known_topic_is_checked_once_for_all_connections() -> None:
    topics: dict[bytes, str] = {}
    raw = publish_bytes("a/b", b"x", version=4)
    first = Decoder(4, topics=topics).feed(raw)[0]
    second = Decoder(4, topics=topics).feed(raw)[0]
    assert isinstance(first, Publish)
    assert isinstance(second, Publish)
    assert first.topic is second.topic
    assert topics == {b"a/b": "a/b"}
