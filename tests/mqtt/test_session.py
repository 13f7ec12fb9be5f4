"""The client's side of a session, against a server played by hand."""

from collections.abc import Sequence

import pytest

from millrace.errors import RetryError
from millrace.mqtt import properties as p
from millrace.mqtt import reasons as r
from millrace.mqtt.options import ClientOptions
from millrace.mqtt.packets import (
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingResp,
    ProtocolError,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    Will,
    encode,
)
from millrace.mqtt.session import ClientSession

MANUAL = ClientOptions(acks_itself=False)


class Wire:
    """A session and the other end of its wire."""

    def __init__(self, version: int = 5, options: ClientOptions | None = None) -> None:
        self.session = ClientSession("dev", version, options)
        self.version = version
        self._server = Decoder()

    def connect(self, answer: ConnAck | None = None) -> list[Packet]:
        """Connect; return the CONNECT and what follows the CONNACK."""
        self.session.connect()
        self._server = Decoder(alias_maximum=10)
        sent = self.sent()
        self.say(answer or ConnAck())
        return [*sent, *self.sent()]

    def say(self, *packets: Packet) -> list[Packet]:
        return self.session.receive(b"".join(encode(one, self.version) for one in packets))

    def sent(self) -> list[Packet]:
        return self._server.feed(self.session.take())


@pytest.fixture(params=[4, 5])
def wire(request: pytest.FixtureRequest) -> Wire:
    return Wire(request.param)


def ids(packets: Sequence[Packet]) -> list[int]:
    return [one.packet_id for one in packets if isinstance(one, Publish)]


def test_connect_says_who_and_for_how_long() -> None:
    will = Will("iot/dev/status", b"offline", 1, retain=True)
    wire = Wire(5, ClientOptions(will=will, username="u", password=b"p"))
    [connect] = wire.connect()
    expected = Connect("dev", 5, False, 15, "u", b"p", will, {p.SESSION_EXPIRY: 3600})  # noqa: FBT003 - a value
    assert connect == expected
    assert wire.session.is_connected
    assert wire.session.epoch == 1


def test_a_refusal_is_an_event_and_no_connection(wire: Wire) -> None:
    wire.session.connect()
    refusal = ConnAck(reason=r.NOT_AUTHORIZED)
    assert wire.say(refusal) == [refusal]
    assert not wire.session.is_connected


@pytest.mark.parametrize("first", [PingResp(), Publish("a"), SubAck(1, [0])])
def test_the_first_packet_must_be_connack(wire: Wire, first: Packet) -> None:
    wire.session.connect()
    with pytest.raises(ProtocolError):
        wire.say(first)


def test_a_second_connack_is_an_offence(wire: Wire) -> None:
    wire.connect()
    with pytest.raises(ProtocolError):
        wire.say(ConnAck())


def test_qos_1_out(wire: Wire) -> None:
    wire.connect()
    packet_id = wire.session.publish("a", b"x", qos=1)
    assert wire.sent() == [Publish("a", b"x", 1, packet_id=packet_id)]
    assert wire.say(PubAck(packet_id)) == [PubAck(packet_id)]
    assert wire.say(PubAck(packet_id)) == []


def test_qos_2_out(wire: Wire) -> None:
    wire.connect()
    packet_id = wire.session.publish("a", b"x", qos=2)
    wire.sent()
    assert wire.say(PubRec(packet_id)) == []
    assert wire.sent() == [PubRel(packet_id)]
    assert wire.session.room == 63
    assert wire.say(PubComp(packet_id)) == [PubComp(packet_id)]
    assert wire.session.room == 64


def test_qos_2_out_refused_ends_there() -> None:
    wire = Wire(5)
    wire.connect()
    packet_id = wire.session.publish("a", b"x", qos=2)
    refusal = PubRec(packet_id, r.QUOTA_EXCEEDED)
    assert wire.say(refusal) == [refusal]
    assert wire.session.room == 64


def test_what_was_not_acknowledged_is_sent_again_with_dup(wire: Wire) -> None:
    wire.connect()
    one, two, three, four = (wire.session.publish("a", b"%d" % i, qos=i // 2 + 1) for i in range(4))
    wire.say(PubAck(one), PubRec(three))
    _, *again = wire.connect(ConnAck(session_present=True))
    assert again == [
        Publish("a", b"1", 1, dup=True, packet_id=two),
        PubRel(three),
        Publish("a", b"3", 2, dup=True, packet_id=four),
    ]


def test_a_broker_without_the_session_gets_a_first_copy(wire: Wire) -> None:
    wire.connect()
    packet_id = wire.session.publish("a", b"x", qos=1)
    _, *again = wire.connect(ConnAck(session_present=False))
    assert again == [Publish("a", b"x", 1, packet_id=packet_id)]


def test_what_is_sent_behind_connect_is_not_sent_twice(wire: Wire) -> None:
    """MTR-010: a device may publish before CONNACK has come."""
    wire.session.connect()
    wire.session.publish("a", b"x", qos=1)
    assert len(wire.sent()) == 2
    wire.say(ConnAck(session_present=True))
    assert wire.sent() == []


def test_a_forgotten_message_keeps_its_id_but_is_not_sent_again(wire: Wire) -> None:
    wire.connect()
    packet_id = wire.session.publish("a", b"x", qos=2)
    wire.session.forget(packet_id)
    assert wire.session.publish("a", b"y", qos=1) != packet_id
    wire.sent()
    assert wire.say(PubRec(packet_id)) == []
    assert wire.sent() == [PubRel(packet_id)]
    wire.session.forget(wire.session.publish("a", b"z", qos=1))
    _, *again = wire.connect(ConnAck(session_present=True))
    assert [one.payload for one in again if isinstance(one, Publish)] == [b"y"]


def test_qos_0_and_1_in(wire: Wire) -> None:
    wire.connect()
    messages = [Publish("a", b"0"), Publish("a", b"1", 1, packet_id=9)]
    assert wire.say(*messages) == messages
    assert wire.sent() == [PubAck(9)]


def test_qos_2_in_is_delivered_once_though_it_comes_twice(wire: Wire) -> None:
    wire.connect()
    message = Publish("a", b"x", 2, packet_id=9)
    again = Publish("a", b"x", 2, dup=True, packet_id=9)
    assert wire.say(message, again) == [message]
    assert wire.sent() == [PubRec(9), PubRec(9)]
    wire.connect(ConnAck(session_present=True))
    assert wire.say(again) == []
    assert wire.say(PubRel(9)) == []
    assert wire.sent() == [PubRec(9), PubComp(9)]
    assert wire.say(message) == [message]


def test_qos_2_in_is_another_message_when_the_broker_lost_the_session(wire: Wire) -> None:
    wire.connect()
    message = Publish("a", b"x", 2, packet_id=9)
    wire.say(message)
    wire.connect(ConnAck(session_present=False))
    assert wire.say(message) == [message]


def test_qos_2_in_that_is_not_recorded_is_delivered_again_after_a_reconnect() -> None:
    wire = Wire(4, MANUAL)
    wire.connect()
    message = Publish("a", b"x", 2, packet_id=9)
    again = Publish("a", b"x", 2, dup=True, packet_id=9)
    assert wire.say(message) == [message]
    wire.connect(ConnAck(session_present=True))
    assert wire.say(again) == [again]


def test_a10_pubrel_for_an_unknown_id_is_answered() -> None:
    for version, reason in ((4, 0), (5, r.PACKET_ID_NOT_FOUND)):
        wire = Wire(version)
        wire.connect()
        assert wire.say(PubRel(77)) == []
        assert wire.sent() == [PubComp(77, reason)]


def test_f17_an_acknowledgement_of_an_older_connection_is_dropped() -> None:
    wire = Wire(5, MANUAL)
    wire.connect()
    wire.say(Publish("a", b"x", 1, packet_id=5))
    old = wire.session.epoch
    wire.connect(ConnAck(session_present=True))
    wire.say(Publish("b", b"y", 1, packet_id=5))
    wire.session.acknowledge(old, [5], 1)
    assert wire.sent() == []
    wire.session.acknowledge(wire.session.epoch, [5], 1)
    assert wire.sent() == [PubAck(5)]


def test_acknowledgements_leave_in_the_order_given() -> None:
    wire = Wire(5, MANUAL)
    wire.connect()
    wire.say(*(Publish("a", b"", 1, packet_id=i) for i in (3, 1, 2)))
    wire.session.acknowledge(1, [3, 1, 2], 1)
    assert wire.sent() == [PubAck(3), PubAck(1), PubAck(2)]


def test_the_broker_limits_what_is_on_its_way() -> None:
    wire = Wire(5)
    wire.connect(ConnAck(properties={p.RECEIVE_MAXIMUM: 2}))
    wire.session.publish("a", b"", qos=1)
    packet_id = wire.session.publish("a", b"", qos=2)
    assert wire.session.room == 0
    with pytest.raises(RetryError):
        wire.session.publish("a", b"", qos=1)
    wire.session.publish("a", b"", qos=0)
    wire.say(PubRec(packet_id), PubComp(packet_id))
    wire.session.publish("a", b"", qos=1)


def test_the_broker_limits_qos_and_size_and_sets_the_keep_alive() -> None:
    wire = Wire(5)
    said = {p.MAXIMUM_QOS: 1, p.MAXIMUM_PACKET_SIZE: 30, p.SERVER_KEEP_ALIVE: 7}
    wire.connect(ConnAck(properties=said))
    assert wire.session.keep_alive_s == 7
    for qos, payload in ((2, b""), (1, b"x" * 30)):
        with pytest.raises(ProtocolError):
            wire.session.publish("a", payload, qos=qos)
    assert wire.sent() == []
    assert wire.session.room == 64


def test_aliases_save_the_topic_until_the_next_connection() -> None:
    wire = Wire(5, ClientOptions(uses_aliases=True))
    for _ in range(2):
        wire.connect(ConnAck(properties={p.TOPIC_ALIAS_MAXIMUM: 1}))
        for topic in ("a/long/topic", "b", "a/long/topic"):
            wire.session.publish(topic, b"")
        raw = wire.session.take()
        assert raw.count(b"a/long/topic") == 1
        found = Decoder(5, alias_maximum=1).feed(raw)
        assert [one.topic for one in found if isinstance(one, Publish)] == [
            "a/long/topic",
            "b",
            "a/long/topic",
        ]


def test_packet_ids_go_round_and_avoid_those_in_use(wire: Wire) -> None:
    wire.connect()
    first = wire.session.publish("a", b"", qos=1)
    for _ in range(65_534):
        wire.say(PubAck(wire.session.publish("a", b"", qos=1)))
    assert wire.session.publish("a", b"", qos=1) == first + 1


def test_subscribe(wire: Wire) -> None:
    wire.connect()
    packet_id = wire.session.subscribe([Subscription("a/+", 2)])
    assert wire.sent() == [Subscribe(packet_id, [Subscription("a/+", 2)])]
    assert wire.say(SubAck(packet_id, [2])) == [SubAck(packet_id, [2])]
    with pytest.raises(ProtocolError):
        wire.session.subscribe([Subscription("a/#/b")])


def test_a_broker_that_breaks_the_rules_is_told_so_in_5_0() -> None:
    wire = Wire(5)
    wire.connect()
    good = Publish("a", b"x", 1, packet_id=1)
    with pytest.raises(ProtocolError) as caught:
        wire.session.receive(encode(good, 5) + b"\x36\x05\0\1a\0\1")
    assert caught.value.packets == [good]
    assert wire.sent() == [PubAck(1), Disconnect(r.MALFORMED_PACKET)]
