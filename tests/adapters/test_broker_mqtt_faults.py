"""What no honest broker does on request: the subscriber against a fake. F17, D-17, P6."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from millrace.adapters.broker_mqtt import MqttBroker, Upstream
from millrace.adapters.clock_manual import ManualClock
from millrace.errors import RetryError, StopError
from millrace.mqtt import reasons as r
from millrace.mqtt.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    ProtocolError,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    encode,
)
from millrace.ports.broker import Intake
from tests.servers.fake_broker import FakeBroker, running_fake

versions = pytest.mark.parametrize("version", [4, 5])
FILTERS = (Subscription("iot/+/telemetry", 2), Subscription("iot/+/status", 2))


@asynccontextmanager
async def linked(**options: Any) -> AsyncIterator[tuple[FakeBroker, MqttBroker]]:
    async with running_fake() as fake:
        upstream = Upstream("127.0.0.1", fake.port, filters=FILTERS, **options)
        broker = MqttBroker(upstream, ManualClock(), rng=Random(1))
        await broker.start()
        try:
            yield fake, broker
        finally:
            await broker.close()


async def receive(broker: MqttBroker) -> Intake:
    async with asyncio.timeout(5):
        return await broker.receive()


def message(packet_id: int, payload: bytes = b"x", qos: int = 1) -> Publish:
    return Publish("iot/m/telemetry", payload, qos, packet_id=packet_id)


def acks(fake: FakeBroker) -> list[Packet]:
    return [one for one in fake.packets if isinstance(one, PubAck | PubRec | PubComp)]


@versions
async def test_mtr_008_the_session_is_persistent(version: int) -> None:
    async with linked(version=version, client_id="ingest-1") as (fake, _):
        connect = fake.packets[0]
        subscribe = fake.packets[1]
    assert isinstance(connect, Connect)
    assert isinstance(subscribe, Subscribe)
    assert (connect.client_id, connect.clean_start, connect.keep_alive_s) == ("ingest-1", False, 15)
    assert connect.properties == ({17: 86_400} if version == 5 else None)
    assert subscribe.filters == list(FILTERS)


@versions
async def test_f17_a_stale_acknowledgement_is_discarded(version: int) -> None:
    """Two connections use one packet id for two messages; the old one settles late."""
    async with linked(version=version) as (fake, broker):
        fake.say(message(7, b"old"), message(8, b"old", qos=2))
        old = await receive(broker)
        fake.cut()
        waiting = asyncio.ensure_future(receive(broker))  # noqa: TID251 - awaited below
        fake.connack = ConnAck(session_present=True)
        await fake.connected(2)
        fake.say(message(7, b"another"), message(8, b"another", qos=2))
        fresh = await waiting
        assert fresh.messages.payloads == [b"another", b"another"]
        broker.settle(old, ())
        fake.say(message(9))
        last = await receive(broker)
        assert acks(fake) == []
        broker.settle(fresh, ())
        broker.settle(last, ())
        await fake.heard(PubAck(9))
        assert acks(fake) == [PubAck(7), PubRec(8), PubAck(9)]


@versions
async def test_p6_acknowledgements_leave_in_the_order_of_receipt(version: int) -> None:
    async with linked(version=version) as (fake, broker):
        intakes = []
        for packet_id in (3, 1, 2):
            fake.say(message(packet_id))
            intakes.append(await receive(broker))
        broker.settle(intakes[1], ())
        broker.settle(intakes[2], ())
        assert acks(fake) == []
        broker.settle(intakes[0], ())
        await fake.heard(PubAck(2))
        assert acks(fake) == [PubAck(3), PubAck(1), PubAck(2)]


async def test_qos_2_is_delivered_once_when_its_acknowledgement_is_lost() -> None:
    async with linked() as (fake, broker):
        fake.say(message(5, b"once", qos=2))
        broker.settle(await receive(broker), ())
        await fake.heard(PubRec(5))
        fake.cut()
        waiting = asyncio.ensure_future(receive(broker))  # noqa: TID251 - awaited below
        fake.connack = ConnAck(session_present=True)
        await fake.connected(2)
        again = Publish("iot/m/telemetry", b"once", 2, dup=True, packet_id=5)
        fake.say(again, PubRel(5), message(6, b"next"))
        assert (await waiting).messages.payloads == [b"next"]
        await fake.heard(PubRec(5), PubComp(5))


async def test_d17_reading_stops_above_the_budget_and_pings_do_not() -> None:
    async with linked(budget_bytes=20_000, keep_alive_s=1) as (fake, broker):
        fake.say(*(message(i, b"x" * 1000) for i in range(1, 41)))
        held = [await receive(broker)]
        await fake.heard(PingReq())
        fake.say(message(50, b"later"))
        # Silence of the broker is our own doing: the link outlives the keep-alive.
        await asyncio.sleep(1.6)
        assert fake.connections == 1
        while b"later" not in held[-1].messages.payloads:
            for intake in held:
                broker.settle(intake, ())
            held = [await receive(broker)]
        assert fake.connections == 1


async def test_a_broker_that_falls_silent_is_left() -> None:
    async with linked(keep_alive_s=1) as (fake, broker):
        waiting = asyncio.ensure_future(receive(broker))  # noqa: TID251 - awaited below
        await fake.connected(2)
        fake.say(message(1))
        assert len((await waiting).messages) == 1


async def test_a_broker_that_breaks_the_rules_is_left_and_its_messages_count() -> None:
    async with linked() as (fake, broker):
        waiting = asyncio.ensure_future(receive(broker))  # noqa: TID251 - awaited below
        fake.write(encode(message(1), 5) + b"\x36\x05\0\1a\0\1")
        assert len((await waiting).messages) == 1
        await fake.heard(Disconnect(r.MALFORMED_PACKET))
        waiting = asyncio.ensure_future(receive(broker))  # noqa: TID251 - awaited below
        await fake.connected(2)
        fake.say(message(2))
        await waiting


@pytest.mark.parametrize(
    ("reason", "error"),
    [(r.NOT_AUTHORIZED, StopError), (r.CLIENT_ID_NOT_VALID, StopError)],
)
async def test_a_refusal_that_stays_is_for_a_person(reason: int, error: type[Exception]) -> None:
    async with running_fake() as fake:
        fake.connack = ConnAck(reason=reason)
        broker = MqttBroker(Upstream("127.0.0.1", fake.port), ManualClock())
        with pytest.raises(error):
            await broker.start()
        await broker.close()


async def test_a_refusal_that_passes_is_waited_for() -> None:
    async with running_fake() as fake:
        fake.connack = ConnAck(reason=r.SERVER_BUSY)
        broker = MqttBroker(Upstream("127.0.0.1", fake.port), ManualClock(), rng=Random(1))
        await broker.start()
        with pytest.raises(RetryError, match="server_busy"):
            await broker.publish("a", b"")
        fake.connack = ConnAck()
        waiting = asyncio.ensure_future(receive(broker))  # noqa: TID251 - awaited below
        await fake.connected(fake.connections + 1)
        fake.say(message(1))
        await waiting
        await broker.close()


async def test_a_refused_subscription_names_the_filter() -> None:
    async with running_fake() as fake:
        fake.grants = r.NOT_AUTHORIZED
        upstream = Upstream("127.0.0.1", fake.port, filters=FILTERS[:1])
        broker = MqttBroker(upstream, ManualClock())
        with pytest.raises(StopError, match=r"iot/\+/telemetry"):
            await broker.start()
        await broker.close()


async def test_a_broker_that_does_not_answer_is_given_up() -> None:
    async with running_fake() as fake:
        fake.connack = None
        broker = MqttBroker(Upstream("127.0.0.1", fake.port, timeout_s=0.05), ManualClock())
        with pytest.raises(RetryError, match="does not answer"):
            await broker.publish("a", b"")
        await broker.close()


async def test_publish_that_is_not_taken_on_is_given_up_and_not_sent_later() -> None:
    """D-40: what the caller was told is not published must not be published after all."""
    async with linked(timeout_s=0.1) as (fake, broker):
        with pytest.raises(RetryError, match="does not acknowledge"):
            await broker.publish("iot/m/command", b"x", qos=2)
        fake.cut()
        waiting = asyncio.ensure_future(receive(broker))  # noqa: TID251 - awaited below
        fake.connack = ConnAck(session_present=True)
        await fake.connected(2)
        fake.say(message(1))
        await waiting
        assert not any(isinstance(one, Publish) for one in fake.packets)


async def test_publish_that_the_broker_refuses() -> None:
    async with linked() as (fake, broker):
        publishing = asyncio.ensure_future(broker.publish("a", b"x", qos=1))  # noqa: TID251 - awaited below
        sent = Publish("a", b"x", 1, packet_id=2)  # SUBSCRIBE had id 1
        await fake.heard(sent)
        fake.say(PubAck(sent.packet_id, r.QUOTA_EXCEEDED))
        with pytest.raises(ProtocolError, match="quota_exceeded"):
            await publishing


async def test_close_says_goodbye_and_settles_nothing_more() -> None:
    async with linked() as (fake, broker):
        fake.say(message(1))
        intake = await receive(broker)
        await broker.close()
        await broker.close()
        await fake.heard(Disconnect())
        broker.settle(intake, ())
        with pytest.raises(RetryError):
            await broker.publish("a", b"")
        assert acks(fake) == []
