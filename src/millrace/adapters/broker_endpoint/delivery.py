"""Messages to subscribers: send now, or queue in order, and store what must survive.

Rules: QoS 0 goes out or is dropped and counted. QoS 1 and 2 wait in the order of the log behind
the client's receive maximum; a queue over its bound disconnects a client that is there, and costs
one that is away the newest message, counted. A durable session's queue is stored in parts, as
positions, twice a second or at once where it matters; QoS 2 packet ids of durable sessions are
stored before they are used, so that a restart between two packets neither repeats nor loses one.
Source: MQTT 5.0, 4.3, 4.4, 4.9; D-16; fault F43.
"""

from collections import deque
from collections.abc import Callable

from millrace.adapters.broker_endpoint.inbox import Inbox
from millrace.adapters.broker_endpoint.limits import EndpointCounters, EndpointLimits
from millrace.adapters.broker_endpoint.records import (
    VERSION,
    QueueRecord,
    encode_record,
    queue_key,
)
from millrace.adapters.broker_endpoint.routes import Routes, Target
from millrace.adapters.broker_endpoint.sending import Sender
from millrace.adapters.broker_endpoint.session import (
    DONE,
    HELD,
    QOS_2,
    RELEASED,
    SENT,
    Delivery,
    Message,
    Part,
    Peer,
    Session,
)
from millrace.mqtt.packets import PubRel, encode
from millrace.mqtt.reasons import QUOTA_EXCEEDED

FETCH_MAX = 64
MEMBERS_MAX = 1_024
QUEUE_IN_MEMORY_BYTES = 256 << 10

Fetch = Callable[[Session, list[Delivery]], None]


class Outbound:
    """The sending half of the endpoint. `fetch` reads messages from the log, later."""

    def __init__(
        self, limits: EndpointLimits, counters: EndpointCounters, *, inbox: Inbox, routes: Routes,
        sender: Sender,
    ) -> None:  # fmt: skip
        self._limits = limits
        self._counters = counters
        self._inbox = inbox
        self._routes = routes
        self._sender = sender
        self._parts: dict[Session, tuple[Part, list[Delivery]]] = {}
        self.fetch: Fetch | None = None
        self.queued = 0
        # The parts hold something that reading the log again would not bring back as it is
        self.is_urgent = False

    def route(self, message: Message, ref: tuple[int, int] | None) -> None:
        """Give a message to everybody who subscribes to its topic; `ref` is its log position."""
        route = self._routes.find(message.topic)
        for target in route.targets:
            self._give(target, message, ref)
        for group in route.groups:
            chosen = group.choose()
            if chosen is not None:
                self._give(chosen, message, ref)

    def _give(self, target: Target, message: Message, ref: tuple[int, int] | None) -> None:
        session = target.session
        if target.no_local and message.sender == session.client_id:
            return
        qos = min(target.qos, message.qos)
        retain = message.retain and target.retain_as_published
        if not qos:
            self._sender.send_at_most_once(session, message, retain=retain, ids=target.identifiers)
            return
        delivery = Delivery(message, qos, retain=retain)
        delivery.identifiers = target.identifiers
        delivery.ref = ref
        self.deliver(session, delivery)

    def send_retained(
        self, session: Session, message: Message, *, qos: int, ids: tuple[int, ...]
    ) -> None:
        """Send a retained message because of a subscription."""
        delivery = Delivery(message, min(qos, message.qos), retain=True)
        delivery.identifiers = ids
        if self._sender.has_expired(delivery):
            return
        if delivery.qos:
            self.deliver(session, delivery)
        else:
            self._sender.send_at_most_once(session, message, retain=True, ids=ids)

    def deliver(self, session: Session, delivery: Delivery) -> None:
        """Send at QoS 1 or 2, or queue."""
        if session.is_durable and delivery.part is None:
            self._store(session, delivery)
        peer = session.peer
        if peer is not None and not session.queue and self._has_room(session, peer):
            self._start(session, peer, delivery)
        else:
            self._enqueue(session, delivery)

    def _store(self, session: Session, delivery: Delivery) -> None:
        self.is_urgent |= delivery.qos == QOS_2 or delivery.ref is None
        self.is_urgent |= delivery.properties is not None
        # At QoS 2 every message is a part of its own: a part that is half done is sent again
        if delivery.qos == QOS_2:
            part = delivery.part = session.next_part()
            part.left = 1
            self._note_part(session, part, [delivery])
            return
        if session not in self._parts:
            self._parts[session] = session.next_part(), []
        part, members = self._parts[session]
        if len(members) > MEMBERS_MAX and len(members) > 2 * part.left:
            members[:] = [member for member in members if member.state != DONE]
        members.append(delivery)
        delivery.part = part
        part.left += 1

    def store_parts(self) -> None:
        """Write down the queue parts that grew since the last call."""
        for session, (part, members) in self._parts.items():
            if part.left:
                self._note_part(session, part, members)
        self._parts.clear()
        self.is_urgent = False

    def has_unstored(self) -> bool:
        """Whether any queue grew since it was last written down."""
        return bool(self._parts)

    def _note_part(self, session: Session, part: Part, members: list[Delivery]) -> None:
        waiting = [member for member in members if member.state != DONE]
        record = QueueRecord(VERSION, [member.entry() for member in waiting])
        key = queue_key(session.client_id, part.number)
        # What is in the log is found there again; what the server said itself is only here
        is_said = any(member.ref is None for member in waiting)
        note = self._inbox.note if is_said else self._inbox.note_lazily
        note(key, encode_record(record))

    def _enqueue(self, session: Session, delivery: Delivery) -> None:
        queue = session.queue
        if queue is None:
            queue = session.queue = deque()
        is_long = session.peer is None or session.queue_bytes > QUEUE_IN_MEMORY_BYTES
        if is_long and session.is_durable and delivery.ref is not None:
            delivery.message = None
        size = session.queue_bytes + delivery.size()
        limits = self._limits
        is_full = len(queue) >= limits.max_queue or self.queued >= limits.max_queued
        if is_full or size > limits.max_queue_bytes:
            self._counters.dropped_to_subscribers += 1
            self.done(session, delivery)
            if session.peer is not None:
                self._counters.slow_disconnects += 1
                session.peer.disconnect(QUOTA_EXCEEDED)
            return
        session.queue_bytes = size
        queue.append(delivery)
        self.queued += 1

    def _has_room(self, session: Session, peer: Peer) -> bool:
        return len(session.inflight or ()) < peer.receive_max and not peer.is_full

    def pump(self, session: Session) -> None:
        """Send what waits, as far as the client can take it."""
        if session.missing and not session.fetching:
            missing, session.missing = session.missing, None
            self._fetch(session, missing)
        queue = session.queue
        while queue and not session.fetching:
            peer = session.peer
            if peer is None or not self._has_room(session, peer):
                return
            if queue[0].message is None:
                ahead = [queue[i] for i in range(min(FETCH_MAX, len(queue)))]
                self._fetch(session, [d for d in ahead if d.message is None])
                return
            delivery = queue.popleft()
            self.queued -= 1
            session.queue_bytes -= delivery.size()
            self._start(session, peer, delivery)

    def _fetch(self, session: Session, wanted: list[Delivery]) -> None:
        session.fetching = True
        if self.fetch is not None:
            self.fetch(session, wanted)
        else:
            self.fetched(session, wanted, [None] * len(wanted))

    def fetched(
        self, session: Session, wanted: list[Delivery], messages: list[Message | None]
    ) -> None:
        """Go on with messages that were read from the log; None is gone for good."""
        session.fetching = False
        flying = {id(d): packet_id for packet_id, d in (session.inflight or {}).items()}
        for delivery, message in zip(wanted, messages, strict=True):
            delivery.message = message
            packet_id = flying.get(id(delivery))
            if packet_id is not None:
                if session.peer is not None:
                    self._send(session, session.peer, delivery, packet_id, dup=True)
            elif message is not None:
                session.queue_bytes += delivery.size()
            elif session.queue and delivery in session.queue:
                session.queue.remove(delivery)
                self.queued -= 1
                self._counters.dropped_to_subscribers += 1
                self.done(session, delivery)
        self.pump(session)

    def _start(self, session: Session, peer: Peer, delivery: Delivery) -> None:
        if self._sender.has_expired(delivery):
            self.done(session, delivery)
            return
        packet_id = session.take_id()
        if session.inflight is None:
            session.inflight = {}
        session.inflight[packet_id] = delivery
        if delivery.qos == QOS_2 and session.is_durable:
            delivery.state = HELD
            self._inbox.note_exactly_once(session)
            self._inbox.after(lambda: self._send_held(session, delivery, packet_id))
        else:
            self._send(session, peer, delivery, packet_id)

    def _send_held(self, session: Session, delivery: Delivery, packet_id: int) -> None:
        if (session.inflight or {}).get(packet_id) is not delivery or delivery.state != HELD:
            return
        if session.peer is None:
            delivery.state = SENT
        else:
            self._send(session, session.peer, delivery, packet_id)

    def _send(
        self, session: Session, peer: Peer, delivery: Delivery, packet_id: int, *, dup: bool = False
    ) -> None:
        delivery.state = SENT
        if not self._sender.send(peer, delivery, packet_id, dup=dup) and session.inflight:
            del session.inflight[packet_id]
            self.done(session, delivery)

    def done(self, session: Session, delivery: Delivery) -> None:
        """Take note that a delivery needs nothing more; forget its part with the last."""
        delivery.state = DONE
        delivery.message = None
        part = delivery.part
        if part is None:
            return
        part.left -= 1
        is_being_filled = session in self._parts and self._parts[session][0] is part
        if not part.left and not is_being_filled:
            self._inbox.drop_once(queue_key(session.client_id, part.number))

    def resume(self, session: Session, peer: Peer) -> None:
        """Send again what was in flight when the connection broke, then what waits."""
        missing = {id(delivery) for delivery in session.missing or ()}
        for packet_id, delivery in list((session.inflight or {}).items()):
            if delivery.state == RELEASED:
                peer.send(encode(PubRel(packet_id), peer.version))
            elif delivery.state == SENT and delivery.message is not None:
                self._send(session, peer, delivery, packet_id, dup=True)
            elif delivery.state == SENT and id(delivery) not in missing and not session.fetching:
                session.missing = [*(session.missing or ()), delivery]
        self.pump(session)

    def discard(self, session: Session) -> None:
        """Forget everything that waits for a session that has ended."""
        self._parts.pop(session, None)
        waiting = [*(session.queue or ()), *(session.inflight or {}).values()]
        for number in {delivery.part.number for delivery in waiting if delivery.part}:
            self._inbox.note(queue_key(session.client_id, number), None)
        self.queued -= len(session.queue or ())
        session.queue = session.inflight = session.missing = None
        session.queue_bytes = 0
