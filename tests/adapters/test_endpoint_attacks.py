"""What hostile and broken clients send, and that everybody else is served meanwhile."""

import asyncio
from dataclasses import replace

import pytest

from millrace.adapters.clock_manual import ManualClock
from millrace.mqtt import properties as props
from millrace.mqtt.packets import (
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubComp,
    Publish,
    PubRel,
    Subscribe,
    Subscription,
    encode,
)
from tests.adapters.endpoint_rig import FAST, Client, endpoint, until

HELLO = encode(Connect("bad", 5), 5)
OLD_HELLO = encode(Connect("bad", 4), 4)

# name: (bytes behind a CONNECT of version 5, reason of the DISCONNECT)
CORPUS = {
    "a5_wildcard_in_topic": (b"\x30\x06\x00\x03a/+\x00", 0x90),
    "a5_hash_in_topic": (b"\x30\x06\x00\x03a/#\x00", 0x90),
    "a5_nul_in_topic": (b"\x30\x06\x00\x03a\x00b\x00", 0x81),
    "a5_noncharacter_in_topic": (b"\x30\x06\x00\x03\xef\xbf\xbf\x00", 0x81),
    "a5_empty_topic": (b"\x30\x03\x00\x00\x00", 0x82),
    "f38_topic_is_not_utf8": (b"\x30\x05\x00\x02\xff\xfe\x00", 0x81),
    "f38_surrogate_in_topic": (b"\x30\x06\x00\x03\xed\xa0\x80\x00", 0x81),
    "a8_topic_longer_than_packet": (b"\x30\x04\x00\x09ab", 0x81),
    "a8_length_of_five_bytes": (b"\x30\xff\xff\xff\xff\x01", 0x81),
    "a8_second_connect": (HELLO, 0x82),
    "a8_packet_type_0": (b"\x00\x00", 0x82),
    "a8_server_packet": (b"\xd0\x00", 0x82),
    "a8_ping_with_body": (b"\xc0\x01x", 0x81),
    "a9_alias_0": (b"\x30\x07\x00\x01a\x03\x23\x00\x00", 0x94),
    "a9_alias_over_maximum": (b"\x30\x07\x00\x01a\x03\x23\xff\xff", 0x94),
    "a9_alias_unknown": (b"\x30\x06\x00\x00\x03\x23\x00\x05", 0x82),
    "a9_property_twice": (b"\x30\x08\x00\x01a\x04\x01\x00\x01\x00", 0x82),
    "a9_unknown_property": (b"\x30\x06\x00\x01a\x02\x7f\x00", 0x81),
    "a9_property_bomb": (
        encode(Publish("a", properties={props.USER_PROPERTY: [("k", "v")] * 10_000}), 5), 0x97,
    ),
    "a10_qos_3": (b"\x36\x06\x00\x01a\x00\x01\x00", 0x81),
    "a10_packet_id_0": (b"\x32\x06\x00\x01a\x00\x00\x00", 0x82),
    "a10_dup_at_qos_0": (b"\x38\x04\x00\x01a\x00", 0x81),
    "a10_subscribe_without_filters": (b"\x82\x03\x00\x01\x00", 0x82),
    "a10_subscribe_with_wrong_flags": (b"\x80\x07\x00\x01\x00\x00\x01a\x00", 0x81),
    "a10_no_local_shared": (
        encode(Subscribe(1, [Subscription("$share/g/a", no_local=True)]), 5), 0x82,
    ),
    "a10_auth": (b"\xf0\x00", 0x82),
    "f37_declares_256_megabytes": (b"\x30\xff\xff\xff\x7f", 0x95),
}  # fmt: skip


@pytest.mark.parametrize("name", CORPUS)
async def test_malformed(name: str) -> None:
    data, reason = CORPUS[name]
    async with endpoint() as rig:
        good = await Client.connect(rig.port, "good")
        bad = await Client.connect(rig.port, "bad")
        bad.send_raw(data)
        assert await bad.closed() == [Disconnect(reason)]
        assert rig.broker.counters.protocol_errors == 1
        await good.publish("a", b"x")


@pytest.mark.parametrize("name", [n for n in CORPUS if "a9" not in n and "second" not in n])
async def test_malformed_in_3_1_1_closes_without_a_word(name: str) -> None:
    async with endpoint() as rig:
        bad = await Client.connect(rig.port, "bad", version=4)
        bad.send_raw(CORPUS[name][0])
        found = await bad.closed()
        assert not any(isinstance(packet, Disconnect) for packet in found)
        await (await Client.connect(rig.port, "good")).publish("a", b"x")


async def test_what_came_before_the_offence_counts() -> None:
    async with endpoint() as rig:
        bad = await Client.connect(rig.port, "bad")
        bad.send_raw(encode(Publish("a", b"good", 1, packet_id=1), 5) + b"\x00\x00")
        await bad.closed()
        assert await rig.until_logged(1) == [("a", b"good")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xc0\x00", None),
        (b"\x30\x04\x00\x01a\x00", None),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x" * 80, None),
        (b"\x10\x0c\x00\x04MQTT\x09\x02\x00\x3c\x00\x00", 0x84),
        (HELLO[:-3] + b"\xff\xff\xff", 0x81),
        (encode(Connect("x" * 300), 5), 0x85),
        (encode(Connect("x", properties={props.AUTHENTICATION_METHOD: "m"}), 5), 0x8C),
    ],
)
async def test_a1_and_a8_no_proper_connect(data: bytes, reason: int | None) -> None:
    async with endpoint() as rig:
        client = await Client.open(rig.port)
        if data[:1] == b"\x10" and data[8:9] == b"\x09":
            client.decoder.version = 4
        client.send_raw(data)
        found = await client.closed()
        if reason is None:
            assert found == []
        else:
            assert isinstance(found[0], ConnAck)
            assert found[0].reason == reason


async def test_a8_nobody_keeps_much_before_connect() -> None:
    async with endpoint() as rig:
        client = await Client.open(rig.port)
        client.send_raw(b"\x10\xff\xff\x7f" + b"x" * 1_000_000)
        assert await client.closed() == []


async def test_a1_no_client_id_for_a_lasting_session_in_3_1_1() -> None:
    async with endpoint() as rig:
        client = await Client.open(rig.port)
        answer = await client.hello("", version=4, clean_start=False)
        assert answer.reason == 0x85
        client = await Client.open(rig.port)
        assert (await client.hello("", version=4)).reason == 0


async def test_a10_pubrel_for_an_unknown_id_is_answered() -> None:
    async with endpoint() as rig:
        client = await Client.connect(rig.port)
        client.send(PubRel(77))
        assert await client.expect(PubComp) == PubComp(77, 0x92)


async def test_a11_and_a66_a_connect_in_drops_is_cut_off() -> None:
    clock = ManualClock()
    async with endpoint(clock=clock) as rig:
        slow = await Client.open(rig.port)
        for byte in HELLO[:9]:
            slow.send_raw(bytes((byte,)))
            await asyncio.sleep(0.002)
            clock.advance(1.0)
            rig.broker.sweep()
        clock.advance(1.5)
        rig.broker.sweep()
        assert await slow.closed() == []
        assert rig.broker.counters.timeouts == 1


@pytest.mark.parametrize("version", [4, 5])
async def test_f44_a_silent_client_is_closed_after_one_and_a_half_keep_alives(
    version: int,
) -> None:
    clock = ManualClock()
    async with endpoint(clock=clock, limits=replace(FAST, sweep_s=1000)) as rig:
        client = await Client.connect(rig.port, version=version, keep_alive_s=10)
        rig.broker.sweep()
        clock.advance(14)
        rig.broker.sweep()
        client.send(PingReq())
        await client.expect(PingResp)
        rig.broker.sweep()
        clock.advance(14)
        rig.broker.sweep()
        await client.silent()
        rig.broker.sweep()
        clock.advance(16)
        rig.broker.sweep()
        assert await client.closed() == ([Disconnect(0x8D)] if version == 5 else [])


async def test_keep_alive_is_frozen_while_the_socket_is_paused_d_17() -> None:
    clock = ManualClock()
    async with endpoint(clock=clock, limits=replace(FAST, sweep_s=1000)) as rig:
        client = await Client.connect(rig.port, version=4, keep_alive_s=10)
        rig.gate.clear()
        client.send(*[Publish("a", b"", 1, packet_id=i) for i in range(1, 141)])
        await until(lambda: rig.broker.counters.paused)
        for _ in range(3):
            clock.advance(100)
            rig.broker.sweep()
        rig.gate.set()
        for _ in range(140):
            await client.next()
        await client.silent()


async def test_connections_beyond_the_limit_are_dropped() -> None:
    async with endpoint(limits=replace(FAST, max_connections=2)) as rig:
        clients = [await Client.connect(rig.port, f"c{i}") for i in range(2)]
        third = await Client.open(rig.port)
        assert await third.closed() == []
        await clients[0].silent()
        assert rig.broker.counters.refused == 1


async def test_subscriptions_beyond_the_limit_are_refused() -> None:
    async with endpoint(limits=replace(FAST, max_subscriptions=1)) as rig:
        client = await Client.connect(rig.port)
        answer = await client.subscribe(Subscription("a"), Subscription("b"), Subscription("a"))
        assert answer.reasons == [0, 0x97, 0]


async def test_f43_a_subscriber_that_never_reads_costs_no_more_than_its_bound() -> None:
    limits = replace(FAST, subscriber_buffer_bytes=100_000)
    async with endpoint(limits=limits) as rig:
        ear = await Client.connect(rig.port, "ear", version=4)
        await ear.subscribe(Subscription("a"))
        assert isinstance(ear.writer.transport, asyncio.Transport)
        ear.writer.transport.pause_reading()
        mouth = await Client.connect(rig.port, "mouth", version=4)
        for _ in range(120):
            await mouth.publish("a", b"x" * 100_000)
        counters = rig.broker.counters
        assert counters.dropped_to_subscribers + counters.slow_disconnects > 0
        assert len(rig.logged()) == 120


async def test_a16_dollar_topics_belong_to_the_server() -> None:
    async with endpoint() as rig:
        client = await Client.connect(rig.port)
        assert await client.publish("$SYS/broker/load", b"x") == 0x87
        assert rig.logged() == []
