"""The packets of MQTT as values: one class each, the same for 3.1.1 (version 4) and 5.0 (5).

What one version lacks is empty in it: `properties` is always None in 3.1.1, and a reason that
3.1.1 does not send is 0. Reasons are those of 5.0 in both: CONNACK is translated on the way.

`gc=False` because a packet never holds a cycle, and the collector need not visit a million.

Source: MQTT 5.0, 3.
"""

from typing import ClassVar

import msgspec

from millrace.mqtt.properties import Properties


class Packet(msgspec.Struct, frozen=True, gc=False):
    """What all packets are; `code` is the packet type, the first four bits on the wire."""

    code: ClassVar[int] = 0


class Will(msgspec.Struct, frozen=True, gc=False):
    """What the server publishes when the connection breaks."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    properties: Properties | None = None


class Connect(Packet, frozen=True, gc=False):
    """The first packet of a client. `clean_start` is "clean session" in 3.1.1."""

    code = 1
    client_id: str
    version: int = 5
    clean_start: bool = True
    keep_alive_s: int = 60
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties | None = None


class ConnAck(Packet, frozen=True, gc=False):
    """The answer to CONNECT. `reason` is a reason code of 5.0 in both versions."""

    code = 2
    session_present: bool = False
    reason: int = 0
    properties: Properties | None = None


class Publish(Packet, frozen=True, gc=False):
    """A message. `packet_id` is 0 at QoS 0. An alias is resolved: `topic` is never empty."""

    code = 3
    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    properties: Properties | None = None


class PubAck(Packet, frozen=True, gc=False):
    """The message at QoS 1 has been taken on."""

    code = 4
    packet_id: int
    reason: int = 0
    properties: Properties | None = None


class PubRec(Packet, frozen=True, gc=False):
    """The message at QoS 2 has been taken on."""

    code = 5
    packet_id: int
    reason: int = 0
    properties: Properties | None = None


class PubRel(Packet, frozen=True, gc=False):
    """The sender will not send this message of QoS 2 again."""

    code = 6
    packet_id: int
    reason: int = 0
    properties: Properties | None = None


class PubComp(Packet, frozen=True, gc=False):
    """The packet id of QoS 2 is free again."""

    code = 7
    packet_id: int
    reason: int = 0
    properties: Properties | None = None


class Subscription(msgspec.Struct, frozen=True, gc=False):
    """One filter of SUBSCRIBE with its options; all but `qos` are options of 5.0 only.

    `retain_handling`: 0 send retained messages, 1 only if the subscription did not exist, 2 none.
    """

    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


class Subscribe(Packet, frozen=True, gc=False):
    """A wish for messages. The filters are UTF-8, but not yet checked for their wildcards."""

    code = 8
    packet_id: int
    filters: list[Subscription]
    properties: Properties | None = None


class SubAck(Packet, frozen=True, gc=False):
    """One reason for each filter: the granted QoS, or 0x80 and above."""

    code = 9
    packet_id: int
    reasons: list[int]
    properties: Properties | None = None


class Unsubscribe(Packet, frozen=True, gc=False):
    """The end of a wish for messages."""

    code = 10
    packet_id: int
    filters: list[str]
    properties: Properties | None = None


class UnsubAck(Packet, frozen=True, gc=False):
    """One reason for each filter; empty in 3.1.1."""

    code = 11
    packet_id: int
    reasons: list[int] = []
    properties: Properties | None = None


class PingReq(Packet, frozen=True, gc=False):
    """Are you there?"""

    code = 12


class PingResp(Packet, frozen=True, gc=False):
    """I am."""

    code = 13


class Disconnect(Packet, frozen=True, gc=False):
    """The last packet of a connection."""

    code = 14
    reason: int = 0
    properties: Properties | None = None


class Auth(Packet, frozen=True, gc=False):
    """One step of an extended authentication (5.0 only)."""

    code = 15
    reason: int = 0
    properties: Properties | None = None
