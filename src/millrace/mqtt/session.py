"""The client's side of an MQTT session, without its socket.

The owner writes what `connect` and `take` return, hands what it reads to `receive`, and gets back
the packets that mean something to it. Two packet ids never meet: `epoch` counts connections, and
an acknowledgement that belongs to an older one is dropped, because ids are used again and the
broker would take it for another message (F17).

Rules: messages at QoS 1 and 2 that were not acknowledged are sent again after a reconnect, with
DUP if the broker still has the session, as first copies if it has not. A message of QoS 2 that
was acknowledged, and comes again because the acknowledgement was lost, is not delivered twice.

Source: MQTT 5.0, 4.1, 4.3, 4.4, 4.9; MQTT 3.1.1, 4.1 to 4.4.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from millrace.errors import RetryError
from millrace.mqtt.encoder import pubacks, pubrecs
from millrace.mqtt.options import ClientOptions, connect_packet
from millrace.mqtt.packets import (
    PACKET_BYTES_MAX,
    Auth,
    ConnAck,
    Decoder,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    encode,
    publish_bytes,
)
from millrace.mqtt.properties import (
    MAXIMUM_PACKET_SIZE,
    MAXIMUM_QOS,
    RECEIVE_MAXIMUM,
    SERVER_KEEP_ALIVE,
    TOPIC_ALIAS,
    TOPIC_ALIAS_MAXIMUM,
    Properties,
)
from millrace.mqtt.reasons import (
    PACKET_ID_NOT_FOUND,
    PACKET_TOO_LARGE,
    PROTOCOL_ERROR,
    QOS_NOT_SUPPORTED,
    UNSPECIFIED_ERROR,
    ProtocolError,
)
from millrace.mqtt.topics import check_filter, check_topic

PACKET_IDS: Final = 65_535
V5: Final = 5


class ClientSession:
    """One session, over any number of connections."""

    __slots__ = (
        "_alias_room",
        "_aliases",
        "_asked",
        "_decoder",
        "_delivered",
        "_last_id",
        "_out",
        "_packet_max",
        "_qos_max",
        "_recorded",
        "_resend",
        "_sent",
        "_topics",
        "client_id",
        "epoch",
        "in_flight_max",
        "is_connected",
        "keep_alive_s",
        "options",
        "version",
    )

    def __init__(
        self,
        client_id: str,
        version: int = 5,
        options: ClientOptions | None = None,
        *,
        topics: dict[bytes, str] | None = None,
    ) -> None:
        self.client_id = client_id
        self.version = version
        self.options = options or ClientOptions()
        self.epoch = 0
        self.is_connected = False
        self._topics = {} if topics is None else topics
        self._last_id = 0
        self._sent: dict[int, Publish | PubRel | None] = {}
        self._resend: list[int] = []
        self._delivered: dict[int, int] = {}
        self._recorded: dict[int, int] = {}
        self._begin()

    def _begin(self) -> None:
        """Forget what belongs to one connection."""
        options = self.options
        self.is_connected = False
        self.keep_alive_s = options.keep_alive_s
        self.in_flight_max = options.in_flight_max
        self._qos_max = 2
        self._packet_max = PACKET_BYTES_MAX
        self._alias_room = 0
        self._aliases: dict[str, int] | None = None
        self._asked: set[int] = set()
        self._delivered.clear()
        self._out: list[bytes] = []
        self._decoder = Decoder(
            self.version,
            role="client",
            max_packet_bytes=options.max_packet_bytes,
            topics=self._topics,
            alias_maximum=options.alias_maximum,
        )

    @property
    def room(self) -> int:
        """Messages of QoS 1 and 2 that may be sent before one is acknowledged."""
        return self.in_flight_max - len(self._sent)

    def connect(self) -> None:
        """Begin a connection: all that went before is of an older epoch."""
        self.epoch += 1
        self._sent = {key: sent for key, sent in self._sent.items() if sent is not None}
        self._resend = list(self._sent)
        self._begin()
        self._out.append(
            encode(connect_packet(self.client_id, self.version, self.options), self.version)
        )

    def take(self) -> bytes:
        """Return what must be written since the last call."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def receive(self, data: bytes) -> list[Packet]:
        """Return the packets in `data` that concern the owner.

        PUBLISH is a message; PUBACK and PUBCOMP, and a PUBREC with an error, end the `publish` of
        their id; the others are what they are. The handshake of QoS 2 is dealt with here.
        Raises:
            ProtocolError: The broker broke a rule; `packets` of the error still count.
        """
        try:
            packets = self._decoder.feed(data)
        except ProtocolError as error:
            error.packets = self._sift(error.packets)
            if self.version == V5:
                self._out.append(encode(Disconnect(error.reason_code), V5))
            raise
        return self._sift(packets)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> int:
        """Send a message; return its packet id, 0 at QoS 0. Allowed right behind `connect`.

        Raises:
            ProtocolError: The topic is not one, or the broker has said that it will not take it.
            RetryError: `in_flight_max` messages are on their way; nothing was sent.
        """
        check_topic(topic)
        if qos > self._qos_max:
            raise ProtocolError(QOS_NOT_SUPPORTED, f"the broker takes QoS {self._qos_max} at most")
        packet_id = 0
        if qos:
            if self.room <= 0:
                raise RetryError(f"{len(self._sent)} messages wait for the broker")
            packet_id = self._fresh_id()
        message = Publish(topic, payload, qos, retain, packet_id=packet_id, properties=properties)
        self._write(message)
        if qos:
            self._sent[packet_id] = message
        return packet_id

    def forget(self, packet_id: int) -> None:
        """Give up a message: it is not sent again. Its id stays taken until the broker answers."""
        if isinstance(self._sent.get(packet_id), Publish):
            self._sent[packet_id] = None

    def subscribe(
        self, filters: Sequence[Subscription], properties: Properties | None = None
    ) -> int:
        """Ask for messages; return the packet id that SUBACK will have.

        Raises:
            ProtocolError: A filter is not one.
        """
        for one in filters:
            check_filter(one.filter)
        packet_id = self._fresh_id()
        self._asked.add(packet_id)
        self.send(Subscribe(packet_id, list(filters), properties))
        return packet_id

    def acknowledge(self, epoch: int, packet_ids: Sequence[int], qos: int) -> None:
        """Acknowledge messages of one QoS, in the order in which they came.

        What belongs to an older connection is dropped: the broker sends it again.
        """
        if epoch != self.epoch or not packet_ids:
            return
        if qos == 1:
            self._out.append(pubacks(packet_ids))
            return
        for packet_id in packet_ids:
            digest = self._delivered.pop(packet_id, None)
            if digest is not None:
                self._recorded[packet_id] = digest
        self._out.append(pubrecs(packet_ids))

    def send(self, packet: Packet) -> None:
        """Send any other packet: a ping, a goodbye."""
        self._out.append(encode(packet, self.version))

    def _fresh_id(self) -> int:
        packet_id = self._last_id
        for _ in range(PACKET_IDS):
            packet_id = packet_id % PACKET_IDS + 1
            if packet_id not in self._sent and packet_id not in self._asked:
                self._last_id = packet_id
                return packet_id
        raise RetryError("all packet ids are taken")

    def _write(self, message: Publish) -> None:
        """Put a message on the wire, under an alias if there is one for its topic."""
        topic, properties = message.topic, message.properties
        if self._alias_room:
            topic, properties = self._alias(topic, properties)
        raw = publish_bytes(
            topic,
            message.payload,
            message.qos,
            message.retain,
            message.dup,
            message.packet_id,
            self.version,
            properties,
        )
        if len(raw) > self._packet_max:
            if topic and self._aliases:
                # The broker never learns this alias.
                self._aliases.pop(topic, None)
            raise ProtocolError(PACKET_TOO_LARGE, f"the broker takes {self._packet_max} bytes")
        self._out.append(raw)

    def _alias(self, topic: str, properties: Properties | None) -> tuple[str, Properties | None]:
        if self._aliases is None:
            self._aliases = {}
        alias = self._aliases.get(topic)
        if alias is not None:
            return "", {**(properties or {}), TOPIC_ALIAS: alias}
        if len(self._aliases) >= self._alias_room:
            return topic, properties
        alias = self._aliases[topic] = len(self._aliases) + 1
        return topic, {**(properties or {}), TOPIC_ALIAS: alias}

    def _sift(self, packets: list[Packet]) -> list[Packet]:
        """Deal with what is ours, return what is the owner's."""
        if packets and not self.is_connected and not isinstance(packets[0], ConnAck | Auth):
            raise ProtocolError(PROTOCOL_ERROR, "the first packet is not CONNACK")
        events: list[Packet] = []
        by_owner = 0 if self.options.acks_itself else 1
        for packet in packets:
            if type(packet) is Publish:
                if packet.qos <= by_owner or self._is_wanted(packet):
                    events.append(packet)
            elif self._concerns_owner(packet):
                events.append(packet)
        return events

    def _is_wanted(self, message: Publish) -> bool:
        """Acknowledge a message if that is ours to do; return False for one that was recorded."""
        packet_id = message.packet_id
        if message.qos == 1:
            self._out.append(pubacks((packet_id,)))
            return True
        digest = hash((message.topic, message.payload))
        if self._recorded.get(packet_id) == digest:
            self._out.append(pubrecs((packet_id,)))
            return False
        self._delivered[packet_id] = digest
        if self.options.acks_itself:
            self.acknowledge(self.epoch, (packet_id,), 2)
        return True

    def _concerns_owner(self, packet: Packet) -> bool:
        """Take in a packet that is no message; return whether it means something to the owner."""
        if isinstance(packet, PubAck | PubComp):
            return self._sent.pop(packet.packet_id, self) is not self
        if isinstance(packet, PubRec):
            return self._received(packet)
        if isinstance(packet, PubRel):
            known = self._recorded.pop(packet.packet_id, None) is not None
            reason = 0 if known or self.version != V5 else PACKET_ID_NOT_FOUND
            self.send(PubComp(packet.packet_id, reason))
            return False
        if isinstance(packet, SubAck | UnsubAck):
            self._asked.discard(packet.packet_id)
        elif isinstance(packet, ConnAck):
            self._connected(packet)
        return True

    def _received(self, packet: PubRec) -> bool:
        """Take in a PUBREC; it ends the message only if it refuses it."""
        packet_id = packet.packet_id
        if packet.reason >= UNSPECIFIED_ERROR:
            return self._sent.pop(packet_id, self) is not self
        known = packet_id in self._sent
        if known:
            self._sent[packet_id] = PubRel(packet_id)
        self.send(PubRel(packet_id, 0 if known or self.version != V5 else PACKET_ID_NOT_FOUND))
        return False

    def _connected(self, packet: ConnAck) -> None:
        """Take in what the broker allows, and send again what it has not acknowledged."""
        if self.is_connected:
            raise ProtocolError(PROTOCOL_ERROR, "a second CONNACK")
        if packet.reason:
            return
        self.is_connected = True
        said = packet.properties or {}
        options = self.options
        self.in_flight_max = min(options.in_flight_max, said.get(RECEIVE_MAXIMUM, PACKET_IDS))
        self.keep_alive_s = said.get(SERVER_KEEP_ALIVE, options.keep_alive_s)
        self._qos_max = said.get(MAXIMUM_QOS, 2)
        self._packet_max = said.get(MAXIMUM_PACKET_SIZE, PACKET_BYTES_MAX)
        if options.uses_aliases:
            self._alias_room = said.get(TOPIC_ALIAS_MAXIMUM, 0)
        if not packet.session_present:
            self._recorded.clear()
        for packet_id in self._resend:
            self._send_again(packet_id, is_remembered=packet.session_present)
        self._resend.clear()

    def _send_again(self, packet_id: int, *, is_remembered: bool) -> None:
        sent = self._sent.get(packet_id)
        if isinstance(sent, Publish):
            again = msgspec.structs.replace(sent, dup=is_remembered)
            self._sent[packet_id] = again
            self._write(again)
        elif isinstance(sent, PubRel):
            # Without its session the broker answers "not found", which ends the message as well.
            self.send(sent)
