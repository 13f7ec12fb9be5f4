"""Real clients against the endpoint: paho (3.1.1 and 5, WebSocket), gmqtt, mosquitto."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from typing import Any

import gmqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from millrace.adapters.broker_endpoint import EndpointAddresses
from millrace.mqtt.packets import Subscription
from tests.adapters.endpoint_rig import Client, Rig, endpoint, until

needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None, reason="mosquitto-clients is not installed"
)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with endpoint(addresses=EndpointAddresses(port=0, websocket_port=0)) as rig:
        yield rig


class Paho:
    """paho in its thread; messages land in `inbox`."""

    def __init__(self, client_id: str, version: int, transport: Any = "tcp") -> None:
        protocol = paho.MQTTv5 if version == 5 else paho.MQTTv311
        self.loop = asyncio.get_running_loop()
        self.inbox: asyncio.Queue[paho.MQTTMessage] = asyncio.Queue()
        self.ready = asyncio.Event()
        self.subscribed = asyncio.Event()
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=protocol, transport=transport
        )
        self.client.on_connect = lambda *_: self._set(self.ready)
        self.client.on_subscribe = lambda *_: self._set(self.subscribed)
        self.client.on_message = self._take

    def _take(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self.loop.call_soon_threadsafe(self.inbox.put_nowait, message)

    def _set(self, event: asyncio.Event) -> None:
        self.loop.call_soon_threadsafe(event.set)

    async def start(self, port: int) -> None:
        self.client.connect_async("127.0.0.1", port)
        self.client.loop_start()
        await asyncio.wait_for(self.ready.wait(), 5)

    async def subscribe(self, topic: str, qos: int) -> None:
        self.client.subscribe(topic, qos)
        await asyncio.wait_for(self.subscribed.wait(), 5)

    async def publish(self, topic: str, payload: bytes, qos: int, **options: Any) -> None:
        info = self.client.publish(topic, payload, qos, **options)
        await asyncio.to_thread(info.wait_for_publish, 5)
        assert info.is_published()

    async def stop(self) -> None:
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
@pytest.mark.parametrize("version", [4, 5])
async def test_paho(rig: Rig, version: int, transport: str) -> None:
    port = rig.broker.ports["mqtt" if transport == "tcp" else "websocket"]
    client = Paho("paho", version, transport)
    if transport == "websockets":
        client.client.ws_set_options(path="/mqtt")
    await client.start(port)
    try:
        await client.subscribe("a/#", 2)
        for qos in (0, 1, 2):
            await client.publish(f"a/{qos}", b"x" * 5000, qos)
            message = await asyncio.wait_for(client.inbox.get(), 5)
            assert (message.topic, message.qos, len(message.payload)) == (f"a/{qos}", qos, 5000)
        assert len(await rig.until_logged(3)) == 3
    finally:
        await client.stop()


async def test_paho_publishes_a_thousand_at_qos_2(rig: Rig) -> None:
    client = Paho("paho", 5)
    await client.start(rig.port)
    try:
        for i in range(999):
            client.client.publish("a/b", b"%d" % i, 2)
        await client.publish("a/b", b"999", 2)
        assert [int(payload) for _, payload in await rig.until_logged(1000)] == list(range(1000))
    finally:
        await client.stop()


async def test_paho_v5_properties_arrive(rig: Rig) -> None:
    ear = await Client.connect(rig.port, "ear")
    await ear.subscribe(Subscription("a", 1))
    client = Paho("paho", 5)
    await client.start(rig.port)
    try:
        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.UserProperty = [("unit", "V")]
        await client.publish("a", b"x", 1, properties=properties)
        assert (await ear.message()).properties == {38: [("unit", "V")]}
    finally:
        await client.stop()


async def test_paho_will_after_a_broken_connection(rig: Rig) -> None:
    client = Paho("paho", 4)
    client.client.will_set("iot/paho/status", b"offline", 1, retain=True)
    await client.start(rig.port)
    sock = client.client.socket()
    assert sock is not None
    client.client.reconnect_delay_set(30, 60)
    assert isinstance(sock, socket.socket)
    sock.shutdown(socket.SHUT_RDWR)
    assert await rig.until_logged(1) == [("iot/paho/status", b"offline")]
    await client.stop()


@pytest.mark.parametrize("version", [4, 5])
async def test_gmqtt(rig: Rig, version: int) -> None:
    client = gmqtt.Client("gmqtt", optimistic_acknowledgement=False)
    inbox: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    subscribed = asyncio.Event()

    def take(_client: Any, topic: str, payload: bytes, *_: Any) -> int:
        inbox.put_nowait((topic, payload))
        return 0

    client.on_message = take
    client.on_subscribe = lambda *_: subscribed.set()
    await client.connect("127.0.0.1", rig.port, version=version)
    client.subscribe("g/+", 1)
    await asyncio.wait_for(subscribed.wait(), 5)
    for qos in (0, 1, 2):
        client.publish(f"g/{qos}", b"hi", qos=qos)
        assert await asyncio.wait_for(inbox.get(), 5) == (f"g/{qos}", b"hi")
    await client.disconnect()
    assert len(rig.logged()) == 3


@needs_mosquitto
@pytest.mark.services
@pytest.mark.parametrize("version", ["311", "5"])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_mosquitto_clients(rig: Rig, version: str, qos: int) -> None:
    common = ["-h", "127.0.0.1", "-p", str(rig.port), "-V", version, "-q", str(qos), "-t", "m/1"]
    ear = await asyncio.create_subprocess_exec(
        "mosquitto_sub", *common, "-C", "20", "-W", "10", stdout=asyncio.subprocess.PIPE
    )
    await until(lambda: rig.broker._hub.routes.find("m/1").targets)
    mouth = await asyncio.create_subprocess_exec(
        "mosquitto_pub", *common, "-l", stdin=asyncio.subprocess.PIPE
    )
    await mouth.communicate(b"".join(b"line %d\n" % i for i in range(20)))
    assert mouth.returncode == 0
    out, _ = await ear.communicate()
    assert out.splitlines() == [b"line %d" % i for i in range(20)]
    assert len(rig.logged()) == 20


@needs_mosquitto
@pytest.mark.services
async def test_mosquitto_sub_resumes_its_session(rig: Rig) -> None:
    common = ["-h", "127.0.0.1", "-p", str(rig.port), "-i", "keeper", "-c", "-q", "1", "-t", "k"]
    first = await asyncio.create_subprocess_exec("mosquitto_sub", *common, "-E")
    await first.wait()
    mouth = await Client.connect(rig.port, "mouth")
    for i in range(5):
        await mouth.publish("k", b"%d" % i)
    second = await asyncio.create_subprocess_exec(
        "mosquitto_sub", *common, "-C", "5", "-W", "10", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await second.communicate()
    assert out.split() == [b"0", b"1", b"2", b"3", b"4"]
