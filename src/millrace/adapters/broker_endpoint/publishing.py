"""Messages of devices on their way into the log, and what follows once they are there.

Rules: nothing is answered before `settle`. A QoS 2 packet id that is known is answered, never
appended again. A message that may not be published is refused with 0x87 (3.1.1 has no word for
it: the connection ends) and counted.
Source: MQTT 5.0, 3.3 and 4.3; D-16, D-17, D-41; attacks A3, A6, A7.
"""

from collections.abc import Sequence

from millrace.adapters.broker_endpoint.hub import Hub
from millrace.adapters.broker_endpoint.inbox import Ticket
from millrace.adapters.broker_endpoint.records import (
    RETAINED,
    VERSION,
    WILL,
    RetainedRecord,
    WillRecord,
    encode_record,
)
from millrace.adapters.broker_endpoint.sending import forwarded
from millrace.adapters.broker_endpoint.session import QOS_2, V5, Message, Peer, Session
from millrace.model.message import DUP, RETAIN
from millrace.mqtt.packets import ProtocolError, PubAck, Publish, PubRec, encode, pubrecs
from millrace.mqtt.properties import MESSAGE_EXPIRY, Properties
from millrace.mqtt.reasons import NOT_AUTHORIZED, RECEIVE_MAXIMUM_EXCEEDED


class Publishing:
    """The receiving half of the endpoint."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def may_publish(self, principal: str, topic: str) -> bool:
        """Return whether a client may publish on a topic; `$` topics belong to the server."""
        return not topic.startswith("$") and self._hub.access.may_publish(principal, topic)

    def refuse(self, peer: Peer, packet: Publish) -> None:
        """Answer a message that the sender may not publish."""
        self._hub.counters.denied += 1
        if peer.version != V5:
            peer.disconnect(NOT_AUTHORIZED)
        elif packet.qos == 1:
            peer.send(encode(PubAck(packet.packet_id, NOT_AUTHORIZED), V5))
        elif packet.qos == QOS_2:
            peer.send(encode(PubRec(packet.packet_id, NOT_AUTHORIZED), V5))

    def take(self, session: Session, peer: Peer, packet: Publish) -> bool:
        """Put an allowed message into the columns; return False when it is not to be logged.

        The caller fills in the receive time and the client id.
        """
        inbox = self._hub.inbox
        topic, qos = packet.topic, packet.qos
        if not qos and inbox.is_over_budget:
            inbox.count_shed(topic)
            return False
        if qos == QOS_2 and not self._is_first(session, peer, packet.packet_id):
            return False
        expires_ns = self._expires_ns(packet.properties)
        if packet.retain or not self._hub.routes.is_quiet(topic):
            message = Message(
                topic, packet.payload, qos, packet.retain, forwarded(packet.properties),
                expires_ns, session.client_id,
            )  # fmt: skip
            self._follow_up(message)
        batch = inbox.batch
        batch.topics.append(topic)
        batch.payloads.append(packet.payload)
        batch.flags.append(qos | (packet.retain and RETAIN) | (packet.dup and DUP))
        batch.packet_ids.append(packet.packet_id)
        return True

    def _is_first(self, session: Session, peer: Peer, packet_id: int) -> bool:
        received = session.received
        if received is None:
            received = session.received = {}
        if packet_id not in received:
            if len(received) >= self._hub.limits.max_unreleased:
                raise ProtocolError(RECEIVE_MAXIMUM_EXCEEDED, "too many ids without PUBREL")
            received[packet_id] = peer
            self._hub.inbox.ticket.received.append((session, packet_id))
            self._hub.inbox.note_exactly_once(session)
            return True
        self._hub.counters.duplicates += 1
        if received[packet_id] is None:
            peer.send(pubrecs([packet_id]))
        else:
            # Not durable yet: the answer goes out then, on the connection that asked last
            received[packet_id] = peer
        return False

    def _expires_ns(self, properties: Properties | None) -> int:
        seconds = (properties or {}).get(MESSAGE_EXPIRY)
        if seconds is None:
            return 0
        return self._hub.clock.now_ns() + int(seconds) * 1_000_000_000

    def _follow_up(self, message: Message) -> None:
        """See to the subscribers and the retained store once the message is durable."""
        inbox = self._hub.inbox
        inbox.ticket.routed.append((len(inbox.batch.topics), message))
        if message.retain:
            self.note_retained(message)

    def note_retained(self, message: Message) -> None:
        """Store what a message changes in the retained store."""
        key = RETAINED + message.topic.encode()
        if not message.payload:
            self._hub.inbox.note(key, None)
            return
        if not self._hub.retained.has_room(message):
            self._hub.counters.retained_refused += 1
            return
        record = RetainedRecord(
            VERSION, message.payload, message.qos, message.expires_ns, message.properties
        )
        self._hub.inbox.note(key, encode_record(record))

    def retain(self, message: Message) -> None:
        """Change the retained store as a durable message says."""
        if not message.payload:
            self._hub.retained.remove(message.topic)
        elif self._hub.retained.has_room(message):
            self._hub.retained.put(message)

    def ingest(self, message: Message) -> None:
        """Put a message that no PUBLISH packet carries into the intake: a will, or our own."""
        inbox = self._hub.inbox
        if message.retain or not self._hub.routes.is_quiet(message.topic):
            self._follow_up(message)
        inbox.batch.add(
            message.topic,
            message.payload,
            self._hub.clock.now_ns(),
            flags=message.qos | (message.retain and RETAIN),
            client_id=message.sender,
        )
        inbox.grow(len(message.payload))
        inbox.wake()

    def ingest_will(self, client_id: str, will: WillRecord) -> None:
        """Publish a will, and forget it in the same append."""
        self._hub.inbox.note(WILL + client_id.encode(), None)
        if not self.may_publish(will.principal, will.topic):
            self._hub.counters.denied += 1
            return
        self._hub.counters.wills += 1
        message = Message(
            will.topic, will.payload, will.qos, will.retain, forwarded(will.properties),
            self._expires_ns(will.properties), client_id,
        )  # fmt: skip
        self.ingest(message)

    def settle(self, ticket: Ticket, offsets: Sequence[tuple[int, int]]) -> None:
        """Acknowledge what is durable, deliver it, and let paused publishers go on."""
        hub = self._hub
        hub.inbox.pending_bytes -= ticket.size_bytes
        for peer, packet_ids in ticket.acks:
            peer.acknowledge(packet_ids, qos=1)
        for session, packet_id in ticket.received:
            waiting = (session.received or {}).get(packet_id)
            if waiting is not None and session.received is not None:
                session.received[packet_id] = None
                waiting.acknowledge([packet_id], qos=2)
        for index, message in ticket.routed:
            if message.retain:
                self.retain(message)
            hub.outbound.route(message, offsets[index])
        if hub.routes.durable and len(offsets):
            for partition, offset in dict(offsets[:]).items():
                hub.offsets[partition] = offset + 1
        for action in ticket.actions:
            action()
        if hub.outbound.is_urgent:
            hub.checkpoint()
