"""The small MQTT client: what it awaits, how many it has on their way, what a loss does to it."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop

from millrace.errors import RetryError, StopError
from millrace.flow.mqtt_client import MqttClient
from millrace.flow.mqtt_link import Address
from millrace.mqtt import reasons as r
from millrace.mqtt.options import ClientOptions
from millrace.mqtt.packets import (
    ConnAck,
    Disconnect,
    ProtocolError,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscription,
    encode,
)
from millrace.mqtt.session import ClientSession
from tests.servers.fake_broker import FakeBroker, running_fake

versions = pytest.mark.parametrize("version", [4, 5])


@asynccontextmanager
async def linked(
    version: int = 5, in_flight_max: int = 64
) -> AsyncIterator[tuple[FakeBroker, MqttClient, list[Publish]]]:
    heard: list[Publish] = []
    async with running_fake() as fake:
        session = ClientSession("dev", version, ClientOptions(in_flight_max=in_flight_max))
        client = MqttClient(session, on_message=heard.append)
        await client.connect(Address("127.0.0.1", fake.port))
        try:
            yield fake, client, heard
        finally:
            client.disconnect()


@versions
async def test_publish_returns_when_the_broker_has_taken_it_on(version: int) -> None:
    async with linked(version) as (fake, client, _):
        await client.publish("a", b"0")
        async with asyncio.TaskGroup() as group:
            one = group.create_task(client.publish("a", b"1", qos=1))
            two = group.create_task(client.publish("a", b"2", qos=2))
            await fake.heard(
                Publish("a", b"0"),
                Publish("a", b"1", 1, packet_id=1),
                Publish("a", b"2", 2, packet_id=2),
            )
            assert not one.done()
            fake.say(PubAck(1), PubRec(2))
            await one
            await fake.heard(PubRel(2))
            assert not two.done()
            fake.say(PubComp(2))
    assert client.session.room == 64


@versions
async def test_no_more_than_allowed_are_on_their_way(version: int) -> None:
    async with linked(version, 2) as (fake, client, _), asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(client.publish("a", b"", qos=1))
        await fake.heard(*(Publish("a", b"", 1, packet_id=i) for i in (1, 2)))
        assert len(fake.packets) == 3
        with pytest.raises(RetryError):
            client.post("a", b"", qos=1)
        fake.say(PubAck(1), PubAck(2))
        await fake.heard(*(Publish("a", b"", 1, packet_id=i) for i in (3, 4)))
        fake.say(PubAck(3), PubAck(4))


async def test_a_cancelled_publisher_passes_its_turn_on() -> None:
    async with linked(in_flight_max=1) as (fake, client, _), asyncio.TaskGroup() as group:
        group.create_task(client.publish("a", b"first", qos=1))
        await asyncio.sleep(0)
        waiting = [group.create_task(client.publish("a", b"%d" % i, qos=1)) for i in range(2)]
        await fake.heard(Publish("a", b"first", 1, packet_id=1))
        waiting[0].cancel()
        fake.say(PubAck(1))
        await fake.heard(Publish("a", b"1", 1, packet_id=2))
        fake.say(PubAck(2))


async def test_a_refused_message_raises() -> None:
    async with linked() as (fake, client, _), asyncio.timeout(5):
        publishing = asyncio.ensure_future(client.publish("a", b"", qos=1))  # noqa: TID251 - awaited below
        await fake.heard(Publish("a", b"", 1, packet_id=1))
        fake.say(PubAck(1, r.NOT_AUTHORIZED))
        with pytest.raises(ProtocolError, match="not_authorized"):
            await publishing


@versions
async def test_a_lost_connection_raises_and_the_next_one_sends_again(version: int) -> None:
    async with linked(version) as (fake, client, _), asyncio.timeout(5):
        publishing = asyncio.ensure_future(client.publish("a", b"", qos=1))  # noqa: TID251 - awaited below
        await fake.heard(Publish("a", b"", 1, packet_id=1))
        fake.cut()
        with pytest.raises(RetryError):
            await publishing
        assert not client.is_connected
        with pytest.raises(RetryError):
            await client.publish("a", b"", qos=1)
        fake.connack = ConnAck(session_present=True)
        await client.connect(Address("127.0.0.1", fake.port))
        await fake.heard(Publish("a", b"", 1, dup=True, packet_id=1))


@versions
async def test_messages_reach_the_callback(version: int) -> None:
    async with linked(version) as (fake, client, heard):
        assert await client.subscribe([Subscription("iot/+/command", 2)]) == [2]
        message = Publish("iot/dev/command", b"x", 1, packet_id=9)
        fake.say(message)
        await fake.heard(PubAck(9))
        assert heard == [message]
        client.disconnect()
        await fake.heard(Disconnect())


async def test_refusals_say_whether_trying_again_may_help() -> None:
    for reason, error in ((r.SERVER_BUSY, RetryError), (r.BAD_USER_OR_PASSWORD, StopError)):
        async with running_fake() as fake:
            fake.connack = ConnAck(reason=reason)
            with pytest.raises(error):
                await MqttClient(ClientSession("dev")).connect(Address("127.0.0.1", fake.port))


async def test_a_broker_that_says_nothing_is_given_up() -> None:
    async with running_fake() as fake:
        fake.connack = None
        client = MqttClient(ClientSession("dev"))
        with pytest.raises(RetryError, match="does not answer"):
            await client.connect(Address("127.0.0.1", fake.port), timeout_s=0.05)


def test_an_answer_that_is_there_before_the_socket_is_ours_is_not_missed() -> None:
    """A broker on another core may have answered when the connecting task wakes up."""
    welcome = encode(ConnAck(), 5)

    def greet(listener: socket.socket, number: int) -> None:
        for _ in range(number):
            connection, _address = listener.accept()
            connection.sendall(welcome)
            connection.recv(100)
            connection.close()

    async def connect(port: int, number: int) -> None:
        for _ in range(number):
            client = MqttClient(ClientSession("dev"))
            await client.connect(Address("127.0.0.1", port), timeout_s=3)
            client.disconnect()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=(listener, 200), daemon=True)
        thread.start()
        uvloop.run(connect(listener.getsockname()[1], 200))
        thread.join()
