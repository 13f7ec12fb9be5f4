"""QoS flows, back-pressure and deliveries of the device endpoint, packet by packet."""

import asyncio
from dataclasses import replace

import pytest

from millrace.adapters.broker_endpoint import Refusal
from millrace.model.message import DUP, RETAIN
from millrace.mqtt import properties as props
from millrace.mqtt.packets import (
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
    encode,
)
from tests.adapters.endpoint_rig import FAST, Client, endpoint


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_message_is_logged_and_acknowledged_mtr_001(version: int, qos: int) -> None:
    async with endpoint() as rig:
        client = await Client.connect(rig.port, version=version)
        await client.publish("iot/m1/telemetry", b"x", qos)
        assert await rig.until_logged(1) == [("iot/m1/telemetry", b"x")]
        assert rig.broker.counters.received == 1


@pytest.mark.parametrize("qos", [1, 2])
async def test_no_acknowledgement_before_the_log_has_it(qos: int) -> None:
    async with endpoint() as rig:
        rig.gate.clear()
        client = await Client.connect(rig.port)
        client.send(Publish("a/b", b"x", qos, packet_id=9))
        await client.silent()
        assert rig.logged() == []
        rig.gate.set()
        assert await client.next() == (PubAck(9) if qos == 1 else PubRec(9))
        assert rig.logged() == [("a/b", b"x")]


async def test_many_in_one_read_are_acknowledged_in_order() -> None:
    async with endpoint() as rig:
        client = await Client.connect(rig.port, version=4)
        count = 100
        client.send(*[Publish("a/b", b"%d" % i, 1, packet_id=i + 1) for i in range(count)])
        got = [(await client.expect(PubAck)).packet_id for _ in range(count)]
        assert got == list(range(1, count + 1))
        assert [payload for _, payload in rig.logged()] == [b"%d" % i for i in range(count)]


async def test_columns_hold_flags_client_and_packet_id() -> None:
    async with endpoint() as rig:
        client = await Client.connect(rig.port, "dev-7")
        client.send(Publish("a/b", b"1", 1, dup=True, retain=True, packet_id=3))
        client.send(Publish("a/b", b"2", 1, dup=True, packet_id=4), Publish("a/b", b"3"))
        await rig.until_logged(3)
        found = {}
        for number in range(rig.log.partitions):
            batch = rig.reader.read(number, 0, 10)
            if batch is not None:
                found = {p: (f, c, i) for p, f, c, i in zip(
                    batch.payloads, batch.flags, batch.client_ids, batch.packet_ids, strict=True
                )}  # fmt: skip
                assert all(batch.received_at_ns)
        assert found == {
            b"1": (1 | RETAIN | DUP, "dev-7", 3),
            b"2": (1 | DUP, "dev-7", 4),
            b"3": (0, "dev-7", 0),
        }


async def test_qos_2_is_logged_once_however_often_it_comes() -> None:
    async with endpoint() as rig:
        client = await Client.connect(rig.port)
        rig.gate.clear()
        client.send(Publish("a/b", b"x", 2, packet_id=5))
        client.send(Publish("a/b", b"x", 2, dup=True, packet_id=5))
        await client.silent()
        rig.gate.set()
        await client.expect(PubRec)
        client.send(Publish("a/b", b"x", 2, dup=True, packet_id=5))
        await client.expect(PubRec)
        client.send(PubRel(5))
        assert (await client.expect(PubComp)).reason == 0
        client.send(PubRel(5))
        assert (await client.expect(PubComp)).reason == 0x92
        await client.publish("a/b", b"y", 2)
        assert [payload for _, payload in rig.logged()] == [b"x", b"y"]


async def test_messages_behind_connect_are_taken_before_connack_mtr_010() -> None:
    async with endpoint() as rig:
        client = await Client.open(rig.port)
        burst = [Publish("a/b", b"%d" % i, 1, packet_id=i + 1) for i in range(100)]
        client.send(Connect("fast"), *burst)
        await client.expect(ConnAck)
        assert [(await client.expect(PubAck)).packet_id for _ in burst] == list(range(1, 101))


async def test_connack_tells_the_limits() -> None:
    async with endpoint() as rig:
        client = await Client.open(rig.port)
        answer = await client.hello(
            "", keep_alive_s=0, properties={props.SESSION_EXPIRY: 0xFFFFFFFF}
        )
        told = answer.properties or {}
        assert told[props.ASSIGNED_CLIENT_ID].startswith("auto-")
        assert told[props.SERVER_KEEP_ALIVE] == 3600
        assert told[props.RECEIVE_MAXIMUM] == 64
        assert told[props.SESSION_EXPIRY] == 7 * 86_400
        assert told[props.TOPIC_ALIAS_MAXIMUM] == 32


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(("asked", "sent", "got"), [(0, 2, 0), (1, 2, 1), (2, 1, 1), (2, 2, 2)])
async def test_a_subscriber_gets_the_lower_qos(
    version: int, asked: int, sent: int, got: int
) -> None:
    async with endpoint() as rig:
        ear = await Client.connect(rig.port, "ear", version=version)
        assert (await ear.subscribe(Subscription("a/+", asked))).reasons == [asked]
        mouth = await Client.connect(rig.port, "mouth")
        await mouth.publish("a/b", b"hi", sent)
        message = await ear.message()
        assert (message.topic, message.payload, message.qos) == ("a/b", b"hi", got)
        await ear.silent()


async def test_delivery_waits_for_the_log() -> None:
    async with endpoint() as rig:
        ear = await Client.connect(rig.port, "ear")
        await ear.subscribe(Subscription("#"))
        rig.gate.clear()
        mouth = await Client.connect(rig.port, "mouth")
        mouth.send(Publish("a/b", b"hi"))
        await mouth.silent()
        await ear.silent()
        rig.gate.set()
        assert (await ear.message()).payload == b"hi"


async def test_overlapping_filters_are_one_delivery_with_all_identifiers() -> None:
    async with endpoint() as rig:
        ear = await Client.connect(rig.port, "ear")
        await ear.subscribe(Subscription("a/#", 0), properties={props.SUBSCRIPTION_ID: [7]})
        await ear.subscribe(Subscription("a/b", 1), properties={props.SUBSCRIPTION_ID: [9]})
        await ear.publish("a/b", b"hi", 0)
        message = await ear.message()
        assert sorted((message.properties or {})[props.SUBSCRIPTION_ID]) == [7, 9]
        await ear.silent()


async def test_no_local_retain_as_published_and_unsubscribe() -> None:
    async with endpoint() as rig:
        ear = await Client.connect(rig.port, "ear")
        await ear.subscribe(
            Subscription("a", no_local=True), Subscription("b", retain_as_published=True)
        )
        await ear.publish("a", b"own")
        ear.send(Publish("b", b"kept", retain=True))
        assert (await ear.message()).retain
        ear.send(Unsubscribe(4, ["b", "never"]))
        assert (await ear.expect(UnsubAck)).reasons == [0, 0x11]
        await ear.publish("b", b"gone")
        await ear.silent()


async def test_message_properties_are_forwarded() -> None:
    async with endpoint() as rig:
        ear = await Client.connect(rig.port, "ear")
        await ear.subscribe(Subscription("a", 1))
        mouth = await Client.connect(rig.port, "mouth")
        sent = {
            props.USER_PROPERTY: [("k", "v"), ("k", "w")],
            props.RESPONSE_TOPIC: "back",
            props.CORRELATION_DATA: b"\x01",
            props.CONTENT_TYPE: "text",
            props.MESSAGE_EXPIRY: 100,
        }
        await mouth.publish("a", b"x", properties={**sent, props.TOPIC_ALIAS: 3})
        got = (await ear.message()).properties or {}
        assert 98 <= got.pop(props.MESSAGE_EXPIRY) <= 100
        del sent[props.MESSAGE_EXPIRY]
        assert got == sent


async def test_topic_aliases_work_both_ways() -> None:
    async with endpoint() as rig:
        ear = await Client.connect(rig.port, "ear", properties={props.TOPIC_ALIAS_MAXIMUM: 5})
        await ear.subscribe(Subscription("long/#"))
        mouth = await Client.connect(rig.port, "mouth")
        mouth.send(Publish("long/topic", b"1", properties={props.TOPIC_ALIAS: 1}))
        mouth.send(Publish("", b"2", properties={props.TOPIC_ALIAS: 1}))
        one, two = await ear.message(), await ear.message()
        assert (one.topic, two.topic) == ("long/topic", "long/topic")
        assert (two.properties or {})[props.TOPIC_ALIAS] == 1
        assert [topic for topic, _ in rig.logged()] == ["long/topic"] * 2


async def test_shared_subscription_gives_each_message_to_one_member() -> None:
    async with endpoint() as rig:
        members = [await Client.connect(rig.port, f"m{i}") for i in range(2)]
        for member in members:
            await member.subscribe(Subscription("$share/g/a/+", 1))
        mouth = await Client.connect(rig.port, "mouth")
        for i in range(10):
            await mouth.publish("a/b", b"%d" % i)
        for member in members:
            for _ in range(5):
                await member.message()
            await member.silent()


async def test_receive_maximum_of_the_subscriber_is_kept() -> None:
    async with endpoint() as rig:
        ear = await Client.connect(rig.port, "ear", properties={props.RECEIVE_MAXIMUM: 2})
        await ear.subscribe(Subscription("a", 1))
        mouth = await Client.connect(rig.port, "mouth")
        for i in range(5):
            await mouth.publish("a", b"%d" % i)
        first, second = await ear.expect(Publish), await ear.expect(Publish)
        await ear.silent()
        ear.send(PubAck(first.packet_id), PubAck(second.packet_id))
        assert [(await ear.message()).payload for _ in range(3)] == [b"2", b"3", b"4"]


async def test_maximum_packet_size_of_the_subscriber_is_kept() -> None:
    async with endpoint() as rig:
        ear = await Client.connect(rig.port, "ear", properties={props.MAXIMUM_PACKET_SIZE: 50})
        await ear.subscribe(Subscription("a", 1))
        mouth = await Client.connect(rig.port, "mouth")
        await mouth.publish("a", b"x" * 60)
        await mouth.publish("a", b"small")
        assert (await ear.message()).payload == b"small"
        assert rig.broker.counters.dropped_to_subscribers == 1


async def test_back_pressure_answers_pings_and_pauses_beyond_the_limit_d_17() -> None:
    async with endpoint() as rig:
        client = await Client.connect(rig.port, version=4)
        rig.gate.clear()
        client.send(*[Publish("a", b"", 1, packet_id=i) for i in range(1, 101)])
        await client.silent()
        client.send(*[Publish("a", b"", 1, packet_id=i) for i in range(101, 140)])
        client.send(PingReq())
        await client.expect(PingResp)
        client.send(PingReq())
        with pytest.raises(TimeoutError):
            await client.next(0.2)
        assert rig.broker.counters.paused == 1
        rig.gate.set()
        for packet_id in range(1, 140):
            assert (await client.expect(PubAck)).packet_id == packet_id
        await client.expect(PingResp)


async def test_over_budget_sheds_qos_0_only_and_counts_it_by_topic() -> None:
    async with endpoint(limits=replace(FAST, max_pending_bytes=1000)) as rig:
        rig.gate.clear()
        client = await Client.connect(rig.port, version=4)
        client.send(Publish("a", b"x" * 1001, 1, packet_id=1))
        other = await Client.connect(rig.port, "other", version=4)
        other.send(Publish("b", b"lost"), Publish("b", b"kept", 1, packet_id=1))
        await asyncio.sleep(0.05)
        rig.gate.set()
        await other.expect(PubAck)
        assert {payload[:4] for _, payload in await rig.until_logged(2)} == {b"xxxx", b"kept"}
        assert rig.broker.counters.shed == 1


async def test_more_than_the_receive_maximum_is_an_error_in_v5() -> None:
    async with endpoint() as rig:
        client = await Client.connect(rig.port)
        rig.gate.clear()
        services = rig.broker._services
        for connection in services.connections:
            connection._opened_s -= 10  # type: ignore[attr-defined]
        client.send(*[Publish("a", b"", 1, packet_id=i) for i in range(1, 66)])
        assert (await client.closed())[-1] == Disconnect(0x93)


async def test_a_slow_subscriber_is_bounded_f43() -> None:
    limits = replace(FAST, max_queue=3)
    async with endpoint(limits=limits) as rig:
        ear = await Client.connect(rig.port, "ear", properties={props.RECEIVE_MAXIMUM: 1})
        await ear.subscribe(Subscription("a", 1))
        mouth = await Client.connect(rig.port, "mouth")
        for i in range(6):
            await mouth.publish("a", b"%d" % i)
        assert (await ear.closed())[-1] == Disconnect(0x97)
        assert rig.broker.counters.slow_disconnects == 1
        await mouth.silent()


async def test_server_commands_are_delivered_and_not_logged_d_16() -> None:
    async with endpoint() as rig:
        device = await Client.connect(rig.port, "m1")
        await device.subscribe(Subscription("iot/m1/command", 2))
        await rig.broker.publish("iot/m1/command", b"go", qos=2)
        assert (await device.message()).payload == b"go"
        assert rig.logged() == []
        await rig.broker.publish("cmnd/f2-1/x/y/z", b"on", qos=1)
        assert rig.logged() == [("cmnd/f2-1/x/y/z", b"on")]


class Strict:
    def authenticate(
        self, client_id: str, username: str | None, password: bytes | None, cn: str | None
    ) -> str | Refusal:
        return username if username and password == b"secret" else Refusal(0x86)

    def may_publish(self, principal: str, topic: str) -> bool:
        return topic.startswith(f"iot/{principal}/")

    def may_subscribe(self, principal: str, topic_filter: str) -> bool:
        return topic_filter == f"iot/{principal}/command"


async def test_a12_and_a13_wrong_credentials_are_refused() -> None:
    async with endpoint(access=Strict()) as rig:
        for version, reason in ((5, 0x86), (4, 0x86)):
            client = await Client.open(rig.port)
            answer = await client.hello("m1", version=version, username="m1", password=b"no")
            assert answer.reason == reason
            assert await client.closed() == []
        assert rig.broker.counters.auth_failures == 2


async def test_a2_a_client_id_of_another_principal_is_not_taken_over() -> None:
    async with endpoint(access=Strict()) as rig:
        one = await Client.connect(rig.port, "m1", username="m1", password=b"secret")
        two = await Client.open(rig.port)
        answer = await two.hello("m1", username="m2", password=b"secret")
        assert answer.reason == 0x87
        await one.silent()


async def test_a3_a_foreign_topic_is_refused() -> None:
    async with endpoint(access=Strict()) as rig:
        client = await Client.connect(rig.port, "m1", username="m1", password=b"secret")
        assert await client.publish("iot/m2/telemetry", b"x") == 0x87
        assert await client.publish("iot/m2/telemetry", b"x", 2) == 0x87
        assert await client.publish("iot/m1/telemetry", b"x") == 0
        old = await Client.connect(rig.port, "m3", version=4, username="m3", password=b"secret")
        old.send(Publish("iot/m2/telemetry", b"x", 1, packet_id=1))
        assert await old.closed() == []
        assert rig.broker.counters.denied == 3
        assert len(rig.logged()) == 1


async def test_a4_and_a15_foreign_filters_are_refused() -> None:
    async with endpoint(access=Strict()) as rig:
        client = await Client.connect(rig.port, "m1", username="m1", password=b"secret")
        names = ["#", "$SYS/#", "+/+", "$share/g/iot/m1/command", "iot/m1/command"]
        answer = await client.subscribe(*[Subscription(name) for name in names])
        assert answer.reasons == [0x87, 0x87, 0x87, 0x87, 0]


async def test_a7_a_will_on_a_foreign_topic_is_refused() -> None:
    async with endpoint(access=Strict()) as rig:
        client = await Client.open(rig.port)
        answer = await client.hello(
            "m1", username="m1", password=b"secret", will=Will("iot/m2/status", b"off")
        )
        assert answer.reason == 0x87


async def test_a_subscription_with_a_bad_filter_is_refused_alone() -> None:
    async with endpoint() as rig:
        client = await Client.connect(rig.port)
        answer = await client.subscribe(Subscription("a/#/b"), Subscription("a/b", 1))
        assert answer.reasons == [0x8F, 1]
        client.send_raw(encode(Subscribe(3, [Subscription("a+")]), 5))
        assert (await client.expect(SubAck)).reasons == [0x8F]
