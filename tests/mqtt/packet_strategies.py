"""Any valid packet of either version, for property tests."""

from typing import Any

from hypothesis import strategies as st

from millrace.mqtt import properties as p
from millrace.mqtt.packets import (
    Auth,
    ConnAck,
    Connect,
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
)
from millrace.mqtt.reasons import CONNACK_V4, from_connack_v4

_BAD = "\0\ufdd0\ufffe\uffff+#"
text = st.text(st.characters(exclude_categories=["Cs", "Cn"], exclude_characters=_BAD), max_size=12)
topic = text.filter(bool)
binary = st.binary(max_size=12)
packet_id = st.integers(1, 65_535)
reason = st.integers(0, 255)

_VALUES: dict[int, st.SearchStrategy[Any]] = {
    0: st.integers(0, 1),
    1: st.integers(1, 65_535),
    2: st.integers(1, 2**32 - 1),
    3: st.integers(1, 268_435_455),
    4: text,
    5: binary,
    6: st.tuples(text, text),
}


def properties(packet_type: int, version: int) -> st.SearchStrategy[dict[int, Any] | None]:
    """Return any properties that this packet may carry; an alias has tests of its own."""
    if version == 4:
        return st.none()
    values = {
        identifier: _VALUES[kind]
        for identifier, (kind, places) in p.TABLE.items()
        if packet_type in places and identifier != p.TOPIC_ALIAS
    }
    values[p.USER_PROPERTY] = st.lists(_VALUES[6], min_size=1, max_size=3)
    if p.SUBSCRIPTION_ID in values:
        most = 3 if packet_type == Publish.code else 1
        values[p.SUBSCRIPTION_ID] = st.lists(_VALUES[3], min_size=1, max_size=most)
    return st.fixed_dictionaries({}, optional=values).map(lambda found: found or None)


def wills(version: int) -> st.SearchStrategy[Will]:
    return st.builds(
        Will, topic, binary, st.integers(0, 2), st.booleans(), properties(p.WILL, version)
    )


@st.composite
def connects(draw: st.DrawFn, version: int) -> Connect:
    username = draw(st.none() | text)
    has_password = version == 5 or username is not None
    return Connect(
        draw(text),
        version,
        draw(st.booleans()),
        draw(st.integers(0, 65_535)),
        username,
        draw(st.none() | binary) if has_password else None,
        draw(st.none() | wills(version)),
        draw(properties(Connect.code, version)),
    )


@st.composite
def publishes(draw: st.DrawFn, version: int) -> Publish:
    qos = draw(st.integers(0, 2))
    return Publish(
        draw(topic),
        draw(st.binary(max_size=300)),
        qos,
        draw(st.booleans()),
        draw(st.booleans()) if qos else False,
        draw(packet_id) if qos else 0,
        draw(properties(Publish.code, version)),
    )


def subscriptions(version: int) -> st.SearchStrategy[Subscription]:
    if version == 4:
        return st.builds(Subscription, topic, st.integers(0, 2))
    flag = st.booleans()
    return st.builds(Subscription, topic, st.integers(0, 2), flag, flag, st.integers(0, 2))


def acks(version: int) -> st.SearchStrategy[Packet]:
    reasons = reason if version == 5 else st.just(0)
    return st.one_of(
        [
            st.builds(kind, packet_id, reasons, properties(kind.code, version))
            for kind in (PubAck, PubRec, PubRel, PubComp)
        ]
    )


def to_server(version: int) -> st.SearchStrategy[Packet]:
    """Return any packet that a client sends behind its CONNECT."""
    kinds: list[st.SearchStrategy[Packet]] = [
        publishes(version),
        acks(version),
        st.builds(
            Subscribe,
            packet_id,
            st.lists(subscriptions(version), min_size=1, max_size=4),
            properties(Subscribe.code, version),
        ),
        st.builds(
            Unsubscribe,
            packet_id,
            st.lists(topic, min_size=1, max_size=4),
            properties(Unsubscribe.code, version),
        ),
        st.just(PingReq()),
    ]
    return st.one_of([*kinds, _endings(version)])


def to_client(version: int) -> st.SearchStrategy[Packet]:
    """Return any packet that a server sends."""
    codes = st.sampled_from([from_connack_v4(code) for code in set(CONNACK_V4.values())])
    grants = st.sampled_from([0, 1, 2, 0x80]) if version == 4 else reason
    kinds: list[st.SearchStrategy[Packet]] = [
        publishes(version),
        acks(version),
        st.builds(
            ConnAck,
            st.booleans(),
            reason if version == 5 else codes,
            properties(ConnAck.code, version),
        ),
        st.builds(
            SubAck,
            packet_id,
            st.lists(grants, min_size=1, max_size=4),
            properties(SubAck.code, version),
        ),
        st.builds(
            UnsubAck,
            packet_id,
            st.lists(reason, max_size=4) if version == 5 else st.just([]),
            properties(UnsubAck.code, version),
        ),
        st.just(PingResp()),
    ]
    return st.one_of([*kinds, _endings(5)] if version == 5 else kinds)


def _endings(version: int) -> st.SearchStrategy[Packet]:
    if version == 4:
        return st.just(Disconnect())
    return st.one_of(
        st.builds(Disconnect, reason, properties(Disconnect.code, 5)),
        st.builds(Auth, reason, properties(Auth.code, 5)),
    )
