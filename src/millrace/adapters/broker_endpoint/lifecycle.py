"""The life of a session: CONNECT, takeover, disconnection, will, expiry.

Source: MQTT 5.0, 3.1, 3.2, 3.14, 4.1, 4.12; D-16; attacks A1, A2, A7, A11, A12.
"""

import heapq
import secrets

from millrace.adapters.broker_endpoint.access import Refusal
from millrace.adapters.broker_endpoint.hub import Hub
from millrace.adapters.broker_endpoint.publishing import Publishing
from millrace.adapters.broker_endpoint.records import (
    EXACTLY_ONCE,
    SESSION,
    VERSION,
    WILL,
    WillRecord,
    encode_record,
)
from millrace.adapters.broker_endpoint.session import V5, Peer, Session
from millrace.mqtt import properties as props
from millrace.mqtt.packets import Connect, ProtocolError
from millrace.mqtt.reasons import (
    BAD_AUTHENTICATION_METHOD,
    CLIENT_ID_NOT_VALID,
    NOT_AUTHORIZED,
    QUOTA_EXCEEDED,
    SESSION_TAKEN_OVER,
)
from millrace.mqtt.topics import check_topic


class RefusedError(ProtocolError):
    """A CONNECT is not admitted, for a reason code of MQTT 5."""


class Admitted:
    """What CONNACK has to say, and the session behind it."""

    __slots__ = ("is_held", "is_present", "properties", "session")

    def __init__(self, session: Session, properties: props.Properties) -> None:
        self.session = session
        self.properties = properties
        self.is_present = False
        self.is_held = False


class Lifecycle:
    """Admits clients and ends their sessions."""

    def __init__(self, hub: Hub, publishing: Publishing) -> None:
        self._hub = hub
        self._publishing = publishing

    def connect(self, peer: Peer, packet: Connect, certificate_cn: str | None) -> Admitted:
        """Return the session of a client that is admitted; an earlier connection ends.

        Raises:
            RefusedError: It is not admitted.
            ProtocolError: Its will has a topic that nothing may be published under.
        """
        told: props.Properties = {}
        asked = packet.properties or {}
        client_id = self._client_id(packet, told)
        principal = self._principal(client_id, packet, certificate_cn)
        will = self._will(principal, packet)
        expiry_s = self._expiry_s(packet, asked, told)
        self._tell_limits(packet, told)
        held = self._take_over(client_id, principal, packet)
        session = self._hub.sessions.get(client_id)
        is_present = session is not None
        if session is None:
            if len(self._hub.sessions) >= self._hub.limits.max_sessions:
                raise RefusedError(QUOTA_EXCEEDED, "there are too many sessions")
            session = Session(client_id, principal, packet.version, expiry_s)
            self._hub.sessions[client_id] = session
        session.expiry_s, session.protocol = expiry_s, packet.version
        session.peer, session.will, session.disconnected_ns = peer, will, 0
        if session.is_durable:
            self.note(session, is_lazy=is_present)
        if will is not None:
            self._hub.inbox.note(WILL + client_id.encode(), encode_record(will))
        admitted = Admitted(session, told)
        admitted.is_present, admitted.is_held = is_present, held
        return admitted

    def _client_id(self, packet: Connect, told: props.Properties) -> str:
        client_id = packet.client_id
        if client_id:
            if len(client_id.encode()) > self._hub.limits.max_client_id_bytes:
                raise RefusedError(CLIENT_ID_NOT_VALID, "the client id is too long")
            return client_id
        if packet.version != V5 and not packet.clean_start:
            raise RefusedError(CLIENT_ID_NOT_VALID, "no client id for a session that is to last")
        client_id = "auto-" + secrets.token_hex(8)
        told[props.ASSIGNED_CLIENT_ID] = client_id
        return client_id

    def _principal(self, client_id: str, packet: Connect, certificate_cn: str | None) -> str:
        if props.AUTHENTICATION_METHOD in (packet.properties or {}):
            raise RefusedError(BAD_AUTHENTICATION_METHOD, "no extended authentication")
        answer = self._hub.access.authenticate(
            client_id, packet.username, packet.password, certificate_cn
        )
        if isinstance(answer, Refusal):
            self._hub.counters.auth_failures += 1
            raise RefusedError(answer.reason, "not admitted")
        return answer

    def _will(self, principal: str, packet: Connect) -> WillRecord | None:
        will = packet.will
        if will is None:
            return None
        check_topic(will.topic)
        if not self._publishing.may_publish(principal, will.topic):
            self._hub.counters.denied += 1
            raise RefusedError(NOT_AUTHORIZED, "the will has a topic of somebody else")
        delay_s = (will.properties or {}).get(props.WILL_DELAY, 0)
        return WillRecord(
            VERSION, principal, will.topic, will.payload, will.qos, will.retain, delay_s,
            will.properties,
        )  # fmt: skip

    def _expiry_s(self, packet: Connect, asked: props.Properties, told: props.Properties) -> int:
        longest = self._hub.limits.max_session_expiry_s
        if packet.version != V5:
            return 0 if packet.clean_start else longest
        wanted: int = asked.get(props.SESSION_EXPIRY, 0)
        if wanted > longest:
            told[props.SESSION_EXPIRY] = longest
        return min(wanted, longest)

    def _tell_limits(self, packet: Connect, told: props.Properties) -> None:
        limits = self._hub.limits
        if not 0 < packet.keep_alive_s <= limits.max_keep_alive_s:
            told[props.SERVER_KEEP_ALIVE] = limits.max_keep_alive_s
        told[props.RECEIVE_MAXIMUM] = limits.receive_max
        told[props.MAXIMUM_PACKET_SIZE] = limits.max_packet_bytes
        told[props.TOPIC_ALIAS_MAXIMUM] = limits.topic_alias_max

    def _take_over(self, client_id: str, principal: str, packet: Connect) -> bool:
        """End what the client id was before; return whether CONNACK must wait for the log."""
        old = self._hub.sessions.get(client_id)
        if old is None:
            return False
        if old.principal != principal:
            self._hub.counters.auth_failures += 1
            raise RefusedError(NOT_AUTHORIZED, "the client id belongs to somebody else")
        if not old.protocol:
            # Only its will was left by a crash, and the client is back before it was due
            self._hub.inbox.note(WILL + client_id.encode(), None)
            del self._hub.sessions[client_id]
            return False
        peer = old.peer
        if peer is not None:
            self._hub.counters.takeovers += 1
            self.detach(old, with_will=True)
            peer.disconnect(SESSION_TAKEN_OVER)
        if old.will is not None and old.will_due_s:
            if packet.clean_start:
                self._publishing.ingest_will(client_id, old.will)
            else:
                self._hub.inbox.note(WILL + client_id.encode(), None)
            old.will, old.will_due_s = None, 0.0
        if packet.clean_start and client_id in self._hub.sessions:
            self.end(old)
            return old.is_durable
        return False

    def detach(self, session: Session, *, with_will: bool) -> None:
        """Part a session from its connection: its will is due, perhaps its end."""
        clock = self._hub.clock
        session.peer = None
        session.disconnected_ns = clock.now_ns()
        will, now_s = session.will, clock.steady_s()
        if will is not None and not with_will:
            self._hub.inbox.note(WILL + session.client_id.encode(), None)
            session.will = None
        elif will is not None:
            delay_s = min(will.delay_s, session.expiry_s)
            if delay_s:
                session.will_due_s = now_s + delay_s
                self._hub.wake_at(session.will_due_s, session.client_id)
            else:
                session.will = None
                self._publishing.ingest_will(session.client_id, will)
        if not session.expiry_s:
            self.end(session)
            return
        session.expires_s = now_s + session.expiry_s
        self._hub.wake_at(session.expires_s, session.client_id)
        self.note(session, is_lazy=True)
        for delivery in session.queue or ():
            if delivery.ref is not None and delivery.message is not None:
                session.queue_bytes -= delivery.size()
                delivery.message = None

    def end(self, session: Session) -> None:
        """End a session with all it has; a will that waits is published first."""
        if self._hub.sessions.pop(session.client_id, None) is None:
            return
        if session.will is not None:
            self._publishing.ingest_will(session.client_id, session.will)
            session.will = None
        self._hub.routes.remove_all(session)
        if session.is_durable:
            key = session.client_id.encode()
            self._hub.inbox.note(SESSION + key, None)
            self._hub.inbox.note(EXACTLY_ONCE + key, None)
        self._hub.inbox.forget(session)
        self._hub.outbound.discard(session)

    def note(self, session: Session, *, is_lazy: bool = False) -> None:
        """Store a session with the next append, or with some append soon."""
        key = SESSION + session.client_id.encode()
        note = self._hub.inbox.note_lazily if is_lazy else self._hub.inbox.note
        note(key, encode_record(session.record()))

    def sweep(self, now_s: float) -> None:
        """Publish wills and end sessions that are due."""
        due = self._hub.due
        while due and due[0][0] <= now_s:
            _, client_id = heapq.heappop(due)
            session = self._hub.sessions.get(client_id)
            if session is None or session.peer is not None:
                continue
            if session.will is not None and session.will_due_s <= now_s:
                self._publishing.ingest_will(client_id, session.will)
                session.will = None
            if session.expires_s <= now_s:
                self.end(session)
