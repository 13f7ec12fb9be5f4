"""The same packets as Eclipse Paho: its bytes are read, and ours are understood by it."""

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from millrace.mqtt import properties as p
from millrace.mqtt.packets import (
    ConnAck,
    Connect,
    Decoder,
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
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
    encode,
)


class Server:
    """Answers one client by the book, keeps what it said, and says what it is told to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.raw = b""
        self.packets: list[Packet] = []
        self.greeting: list[Packet] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        decoder = Decoder(alias_maximum=5)
        connection, _ = self._listener.accept()
        with connection:
            while data := connection.recv(65_536):
                self.raw += data
                for packet in decoder.feed(data):
                    self.packets.append(packet)
                    for answer in self._answers(packet):
                        connection.sendall(encode(answer, decoder.version))

    def _answers(self, packet: Packet) -> list[Packet]:
        answers: list[Packet] = []
        match packet:
            case Connect(version=version):
                granted = {p.ASSIGNED_CLIENT_ID: "x", p.TOPIC_ALIAS_MAXIMUM: 5}
                answers = [ConnAck(properties=granted if version == 5 else None)]
            case Publish(qos=1):
                answers = [PubAck(packet.packet_id)]
            case Publish(qos=2):
                answers = [PubRec(packet.packet_id)]
            case PubRec():
                answers = [PubRel(packet.packet_id)]
            case PubRel():
                answers = [PubComp(packet.packet_id)]
            case Subscribe():
                answers = [SubAck(packet.packet_id, [1, 0x80]), *self.greeting]
            case Unsubscribe():
                answers = [UnsubAck(packet.packet_id, [0])]
            case PingReq():
                answers = [PingResp()]
        return answers


class Heard:
    """What paho's callbacks were called with."""

    def __init__(self, client: paho.Client) -> None:
        self.messages: queue.Queue[Any] = queue.Queue()
        self.suback: queue.Queue[Any] = queue.Queue()
        self.unsuback: queue.Queue[Any] = queue.Queue()
        self.connack: queue.Queue[Any] = queue.Queue()
        client.on_message = lambda _c, _u, message: self.messages.put(message)
        client.on_subscribe = lambda _c, _u, _m, reasons, _p: self.suback.put(reasons)
        client.on_unsubscribe = lambda _c, _u, _m, reasons, _p: self.unsuback.put(reasons)
        client.on_connect = lambda _c, _u, _f, reason, found: self.connack.put((reason, found))


@contextmanager
def connected(server: Server, client: paho.Client, **options: Any) -> Iterator[Heard]:
    heard = Heard(client)
    client.connect("127.0.0.1", server.port, keepalive=33, **options)
    client.loop_start()
    try:
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


def test_3_1_1_reads_the_same_and_writes_the_same_bytes() -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, "dev-1", clean_session=False)
    client.will_set("iot/dev-1/status", b"offline", 1, retain=True)
    client.username_pw_set("user", "söcret")
    with Server() as server:
        server.greeting = [
            Publish("to/ü", b"\0\xff", 1, retain=True, packet_id=7),
            Publish("to/two", b"2", 2, packet_id=8),
        ]
        with connected(server, client) as heard:
            assert heard.connack.get(timeout=5)[0] == 0
            for qos in (0, 1, 2):
                client.publish("a/ü", b"x" * 200 * qos, qos, retain=qos == 1).wait_for_publish(5)
            client.subscribe([("to/+", 1), ("no", 2)])
            assert [reason.value for reason in heard.suback.get(timeout=5)] == [1, 0x80]
            first, second = (heard.messages.get(timeout=5) for _ in range(2))
            client.unsubscribe("to/+")
            heard.unsuback.get(timeout=5)
    assert (first.topic, first.payload, first.qos, first.retain) == ("to/ü", b"\0\xff", 1, True)
    assert (second.topic, second.payload, second.qos) == ("to/two", b"2", 2)
    will = Will("iot/dev-1/status", b"offline", 1, retain=True)
    assert server.packets[0] == Connect(
        "dev-1",
        4,
        clean_start=False,
        keep_alive_s=33,
        username="user",
        password="söcret".encode(),
        will=will,
    )
    assert [one for one in server.packets if isinstance(one, Publish)] == [
        Publish("a/ü", b""),
        Publish("a/ü", b"x" * 200, 1, retain=True, packet_id=2),
        Publish("a/ü", b"x" * 400, 2, packet_id=3),
    ]
    assert {PubAck(7), PubRec(8), PubComp(8)} <= {*_acks(server.packets)}
    assert server.packets[-1] == Disconnect()
    assert b"".join(encode(one, 4) for one in server.packets) == server.raw


def _acks(packets: list[Packet]) -> list[Any]:
    return [one for one in packets if isinstance(one, PubAck | PubRec | PubComp)]


def _properties(packet_type: int, **values: Any) -> Properties:
    found = Properties(packet_type)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(found, name, value)
    return found


def test_5_0_reads_the_same_properties() -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, "dev-1", protocol=paho.MQTTv5)
    client.will_set(
        "w", b"bye", 2, properties=_properties(PacketTypes.WILLMESSAGE, WillDelayInterval=5)
    )
    sent = _properties(
        PacketTypes.PUBLISH,
        MessageExpiryInterval=60,
        ContentType="json",
        ResponseTopic="r",
        CorrelationData=b"\1\2",
        UserProperty=[("k", "v"), ("k", "w")],
        TopicAlias=3,
    )
    connect = _properties(PacketTypes.CONNECT, SessionExpiryInterval=3600, ReceiveMaximum=10)
    with Server() as server:
        server.greeting = [
            Publish("to", b"1", 1, packet_id=7, properties={p.USER_PROPERTY: [("a", "ü")]})
        ]
        with connected(server, client, clean_start=True, properties=connect) as heard:
            _, said = heard.connack.get(timeout=5)
            client.publish("a", b"x", 1, properties=sent).wait_for_publish(5)
            options = SubscribeOptions(1, True, True, 2)  # noqa: FBT003 - paho's own order
            client.subscribe([("to", options), ("no", SubscribeOptions(0))])
            assert [one.value for one in heard.suback.get(timeout=5)] == [1, 0x80]
            message = heard.messages.get(timeout=5)
            client.unsubscribe("to")
            assert [one.value for one in heard.unsuback.get(timeout=5)] == [0]
    assert said.AssignedClientIdentifier == "x"
    assert message.properties.UserProperty == [("a", "ü")]
    asked, published, subscribed = server.packets[:3]
    assert isinstance(asked, Connect)
    assert asked.properties == {p.SESSION_EXPIRY: 3600, p.RECEIVE_MAXIMUM: 10}
    assert asked.will == Will("w", b"bye", 2, properties={p.WILL_DELAY: 5})
    assert isinstance(published, Publish)
    assert published.properties == {
        p.MESSAGE_EXPIRY: 60,
        p.CONTENT_TYPE: "json",
        p.RESPONSE_TOPIC: "r",
        p.CORRELATION_DATA: b"\1\2",
        p.USER_PROPERTY: [("k", "v"), ("k", "w")],
        p.TOPIC_ALIAS: 3,
    }
    assert isinstance(subscribed, Subscribe)
    wish = Subscription("to", 1, no_local=True, retain_as_published=True, retain_handling=2)
    assert subscribed.filters == [wish, Subscription("no", 0)]
    assert len(b"".join(encode(one, 5) for one in server.packets)) <= len(server.raw)
