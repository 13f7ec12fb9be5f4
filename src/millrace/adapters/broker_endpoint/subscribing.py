"""SUBSCRIBE and UNSUBSCRIBE, and the retained messages that follow.

Rules: the SUBACK of a durable session waits until the subscription is stored; retained messages
come behind the SUBACK.
Source: MQTT 5.0, 3.8 to 3.11; attacks A4, A15.
"""

from millrace.adapters.broker_endpoint.hub import Hub
from millrace.adapters.broker_endpoint.lifecycle import Lifecycle
from millrace.adapters.broker_endpoint.records import SubscriptionRecord
from millrace.adapters.broker_endpoint.session import Peer, Session
from millrace.mqtt.packets import (
    ProtocolError,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    encode,
)
from millrace.mqtt.properties import SUBSCRIPTION_ID
from millrace.mqtt.reasons import (
    NO_SUBSCRIPTION_EXISTED,
    NOT_AUTHORIZED,
    PROTOCOL_ERROR,
    QUOTA_EXCEEDED,
    SUCCESS,
)
from millrace.mqtt.topics import check_filter, parse_shared

NEVER, IF_NEW = 2, 1


class Subscribing:
    """Changes what sessions subscribe to."""

    def __init__(self, hub: Hub, lifecycle: Lifecycle) -> None:
        self._hub = hub
        self._lifecycle = lifecycle

    def subscribe(self, session: Session, peer: Peer, packet: Subscribe) -> None:
        """Take subscriptions on, answer, send what is retained."""
        identifier = ((packet.properties or {}).get(SUBSCRIPTION_ID) or [0])[0]
        reasons: list[int] = []
        fresh: list[SubscriptionRecord] = []
        self._start_tracking(session)
        for wanted in packet.filters:
            reason = self._refusal(session, wanted)
            reasons.append(reason or wanted.qos)
            if reason:
                continue
            record = SubscriptionRecord(
                wanted.filter, wanted.qos, wanted.no_local, wanted.retain_as_published, identifier
            )
            is_new = self._hub.routes.add(session, record)
            handling = wanted.retain_handling
            if handling != NEVER and (is_new or handling != IF_NEW):
                fresh.append(record)
        answer = encode(SubAck(packet.packet_id, reasons), peer.version)
        if session.is_durable:
            self._lifecycle.note(session)
            self._hub.checkpoint()
            self._hub.inbox.after(lambda: self._answer(session, peer, answer, fresh))
        else:
            self._answer(session, peer, answer, fresh)

    def _start_tracking(self, session: Session) -> None:
        """From the first durable subscription on, know how far queues are complete."""
        if session.is_durable and not self._hub.routes.durable and self._hub.reader is not None:
            with self._hub.reading:
                extents = self._hub.reader.extents()
            self._hub.offsets = {number: extent.end for number, extent in enumerate(extents)}

    def _refusal(self, session: Session, wanted: Subscription) -> int:
        """Return the reason code that refuses a filter, 0 when nothing speaks against it."""
        name = wanted.filter
        try:
            check_filter(name)
        except ProtocolError as error:
            return error.reason_code
        if wanted.no_local and parse_shared(name)[0] is not None:
            raise ProtocolError(PROTOCOL_ERROR, "no local on a shared subscription")
        if not self._hub.access.may_subscribe(session.principal, name):
            self._hub.counters.denied += 1
            return NOT_AUTHORIZED
        is_full = len(session.subscriptions) >= self._hub.limits.max_subscriptions
        if is_full and name not in session.subscriptions:
            return QUOTA_EXCEEDED
        return SUCCESS

    def _answer(
        self, session: Session, peer: Peer, answer: bytes, fresh: list[SubscriptionRecord]
    ) -> None:
        peer.send(answer)
        if session.peer is not peer:
            return
        for record in fresh:
            group, name = parse_shared(record.topic_filter)
            if group is not None:
                continue
            identifiers = (record.identifier,) if record.identifier else ()
            for message in self._hub.retained.find(name):
                self._hub.outbound.send_retained(session, message, qos=record.qos, ids=identifiers)
        if self._hub.outbound.is_urgent:
            self._hub.checkpoint()

    def unsubscribe(self, session: Session, peer: Peer, packet: Unsubscribe) -> None:
        """Give subscriptions up and answer."""
        routes = self._hub.routes
        reasons = [
            SUCCESS if routes.remove(session, name) else NO_SUBSCRIPTION_EXISTED
            for name in packet.filters
        ]
        answer = encode(UnsubAck(packet.packet_id, reasons), peer.version)
        if session.is_durable:
            self._lifecycle.note(session)
            self._hub.inbox.after(lambda: peer.send(answer))
        else:
            peer.send(answer)
