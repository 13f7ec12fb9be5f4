"""Acknowledgements that subscribers send for what they were sent, and PUBREL of publishers.

Rules: what a PUBREL or a PUBCOMP makes reusable is stored before the answer goes out, for a
durable session; otherwise a crash could take a fresh message for an old one.
Source: MQTT 5.0, 3.4 to 3.7 and 4.3.3.
"""

from millrace.adapters.broker_endpoint.delivery import Outbound
from millrace.adapters.broker_endpoint.inbox import Inbox
from millrace.adapters.broker_endpoint.session import HELD, QOS_2, QUEUED, RELEASED, Peer, Session
from millrace.mqtt.packets import PubAck, PubComp, PubRec, PubRel, encode
from millrace.mqtt.reasons import PACKET_ID_NOT_FOUND

FAILED = 0x80


class Receipts:
    """Takes the acknowledgement packets of one endpoint."""

    def __init__(self, inbox: Inbox, outbound: Outbound) -> None:
        self._inbox = inbox
        self._outbound = outbound

    def puback(self, session: Session, _peer: Peer, packet: PubAck) -> None:
        """The client has a message at QoS 1."""
        self._finish(session, packet.packet_id, qos=1)

    def _finish(self, session: Session, packet_id: int, *, qos: int) -> None:
        inflight = session.inflight or {}
        delivery = inflight.get(packet_id)
        if delivery is None or delivery.qos != qos or delivery.state in {QUEUED, HELD}:
            return
        del inflight[packet_id]
        self._outbound.done(session, delivery)
        if qos == QOS_2:
            self._inbox.note_exactly_once(session)
        self._outbound.pump(session)

    def pubrec(self, session: Session, peer: Peer, packet: PubRec) -> None:
        """The client has a message at QoS 2: release the id, once that is stored."""
        packet_id = packet.packet_id
        delivery = (session.inflight or {}).get(packet_id)
        if delivery is None or delivery.qos != QOS_2 or delivery.state in {QUEUED, HELD}:
            peer.send(encode(PubRel(packet_id, PACKET_ID_NOT_FOUND), peer.version))
            return
        if packet.reason >= FAILED:
            self._finish(session, packet_id, qos=QOS_2)
            return
        delivery.state = RELEASED
        delivery.message = None
        self._answer(session, peer, encode(PubRel(packet_id), peer.version))

    def pubcomp(self, session: Session, _peer: Peer, packet: PubComp) -> None:
        """The client has forgotten the id of a message at QoS 2."""
        delivery = (session.inflight or {}).get(packet.packet_id)
        if delivery is not None and delivery.state == RELEASED:
            self._finish(session, packet.packet_id, qos=QOS_2)

    def pubrel(self, session: Session, peer: Peer, packet: PubRel) -> None:
        """The client will not repeat a message: its id is free, once that is stored."""
        packet_id = packet.packet_id
        known = session.received
        if known is None or packet_id not in known:
            peer.send(encode(PubComp(packet_id, PACKET_ID_NOT_FOUND), peer.version))
            return
        del known[packet_id]
        self._answer(session, peer, encode(PubComp(packet_id), peer.version))

    def _answer(self, session: Session, peer: Peer, data: bytes) -> None:
        if session.is_durable:
            self._inbox.note_exactly_once(session)
            self._inbox.after(lambda: peer.send(data))
        else:
            peer.send(data)
