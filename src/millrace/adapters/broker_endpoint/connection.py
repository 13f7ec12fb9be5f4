"""One connection: bytes to packets, packets to columns and answers.

Rules: no task, no timer, no object per message; one look at the clock and one write per read. The
loop in `_take` is the hot path: a PUBLISH at QoS 0 or 1 on a topic that is allowed and that
nobody subscribes to costs four appends.
Source: MQTT 5.0, 3 and 4.13; D-17; faults F37, F38, F44; attacks A5, A8, A9, A10, A11.
"""

import asyncio
import socket

from millrace.adapters.broker_endpoint.access import certificate_name
from millrace.adapters.broker_endpoint.routes import REMEMBERED_CHARS
from millrace.adapters.broker_endpoint.services import Services
from millrace.adapters.broker_endpoint.session import QOS_2, V5, Session
from millrace.mqtt import properties as props
from millrace.mqtt.packets import (
    PINGRESP,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingReq,
    ProtocolError,
    Publish,
    encode,
    pubacks,
    pubrecs,
)
from millrace.mqtt.reasons import (
    DISCONNECT_WITH_WILL,
    PROTOCOL_ERROR,
    RECEIVE_MAXIMUM_EXCEEDED,
    UNSUPPORTED_VERSION,
)

ALLOWED_MAX = 4_096
# A client that has sent before it could know our receive maximum is not at fault (MTR-010)
GRACE_S = 5.0
CLOSING_S = 5.0
# A socket that is closed while its peer sends is reset, and what was written last may be lost
LINGER_S = 2.0
LINGER_BYTES = 4 << 20
# The largest CONNECT has five fields of 64 KiB; what is read with it may follow
EARLY_BYTES_MAX = 768 << 10
HIGH_WATER_BYTES = 256 << 10
DUP_BIT = 8


class Connection(asyncio.Protocol):
    """The server's end of one MQTT connection.

    `deadline_s` is when the sweep acts: the end of patience for a CONNECT, for a packet, or for
    the peer to take what is written before the close.
    """

    __slots__ = (
        "_aliases", "_allowed", "_decoder", "_early_bytes", "_hub", "_is_held", "_max_aliases",
        "_opened_s", "_out", "_out_bytes", "_services", "_transport", "_unacknowledged",
        "allowance_s", "deadline_s", "is_active", "is_closing", "is_full", "is_paused",
        "max_packet_bytes", "receive_max", "session", "version",
    )  # fmt: skip

    def __init__(self, services: Services) -> None:
        hub = self._hub = services.hub
        self._services = services
        self._transport: asyncio.Transport | None = None
        self._decoder = Decoder(
            max_packet_bytes=hub.limits.max_packet_bytes,
            topics=hub.topics,
            alias_maximum=hub.limits.topic_alias_max,
        )
        self._allowed: set[str] = set()
        self._out: list[bytes] = []
        self._out_bytes = self._early_bytes = 0
        self._aliases: dict[str, int] | None = None
        self._max_aliases = 0
        self._unacknowledged = 0
        self._is_held = False
        self._opened_s = hub.clock.steady_s()
        self.session: Session | None = None
        self.version = 4
        self.receive_max = 65_535
        self.max_packet_bytes = 268_435_460
        self.allowance_s = hub.limits.connect_timeout_s
        self.deadline_s = self._opened_s + self.allowance_s
        self.is_active = self.is_closing = self.is_full = self.is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio.Transport, only their likeness
        self._transport = transport  # type: ignore[assignment]
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._services.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closing = True
        self._out.clear()
        self._services.lost(self)
        self._transport = None

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        if self.session is not None and self.session.peer is self:
            self._hub.outbound.pump(self.session)
            self._hub.flush()

    def data_received(self, data: bytes) -> None:
        if self.is_closing:
            self._discard(data)
            return
        if self.session is None and not self._is_modest(data):
            return
        error: ProtocolError | None = None
        try:
            packets = self._decoder.feed(data)
        except ProtocolError as caught:
            packets, error = caught.packets, caught
        if packets:
            self.is_active = True
            try:
                self._take(packets)
            except ProtocolError as caught:
                error = caught
        if error is not None:
            self._fail(error)
        self._hub.flush()

    def _is_modest(self, data: bytes) -> bool:
        """Return whether a stranger has sent no more than a CONNECT can be; else drop it."""
        self._early_bytes += len(data)
        if self._early_bytes <= EARLY_BYTES_MAX:
            return True
        self._hub.counters.protocol_errors += 1
        self.abort()
        return False

    # One loop on purpose: it runs for every message.
    def _take(self, packets: list[Packet]) -> None:
        inbox = self._hub.inbox
        batch, quiet, allowed = inbox.batch, self._hub.routes.quiet, self._allowed
        add_topic, add_payload = batch.topics.append, batch.payloads.append
        add_flags, add_id = batch.flags.append, batch.packet_ids.append
        is_shedding = inbox.is_over_budget
        acks: list[int] = []
        first = len(batch.topics)
        for packet in packets:
            if not isinstance(packet, Publish):
                self._close_rows(first, acks)
                if not self._handle(packet):
                    return
                acks, first = [], len(batch.topics)
                continue
            topic, qos = packet.topic, packet.qos
            is_plain = topic in quiet and qos < QOS_2 and not packet.retain and not is_shedding
            if is_plain and topic in allowed:
                add_topic(topic)
                add_payload(packet.payload)
                add_flags(qos | DUP_BIT if packet.dup else qos)
                add_id(packet.packet_id)
            elif not self._publish(packet):
                continue
            if qos == 1:
                acks.append(packet.packet_id)
        self._close_rows(first, acks)
        self._press()

    def _publish(self, packet: Publish) -> bool:
        """Take a PUBLISH that is not plain; return whether it became a row."""
        session = self.session
        if session is None or self.is_closing:
            return False
        topic = packet.topic
        if topic not in self._allowed:
            if not self._services.publishing.may_publish(session.principal, topic):
                self._services.publishing.refuse(self, packet)
                return False
            if len(topic) <= REMEMBERED_CHARS:
                if len(self._allowed) >= ALLOWED_MAX:
                    self._allowed.clear()
                self._allowed.add(topic)
        return self._services.publishing.take(session, self, packet)

    def _close_rows(self, first: int, acks: list[int]) -> None:
        """Complete the columns from row `first` on: they all came with one read."""
        inbox, session = self._hub.inbox, self.session
        batch = inbox.batch
        rows = len(batch.topics) - first
        if not rows or session is None:
            return
        batch.received_at_ns += inbox.receipts.stamp(self._hub.clock.now_ns(), rows)
        batch.client_ids += [session.client_id] * rows
        inbox.grow(sum(map(len, batch.payloads[first:] if first else batch.payloads)))
        if acks:
            inbox.ticket.acks.append((self, acks))
        self._unacknowledged += (
            rows if acks and len(acks) == rows else _counted(batch.flags[first:])
        )
        self._hub.counters.received += rows
        inbox.wake()

    def _press(self) -> None:
        """Slow a publisher down that is ahead of the log."""
        limits, over = self._hub.limits, self._hub.inbox.is_over_budget
        count = self._unacknowledged
        is_too_much = self.version == V5 and count > limits.receive_max
        if is_too_much and self._hub.clock.steady_s() > self._opened_s + GRACE_S:
            raise ProtocolError(RECEIVE_MAXIMUM_EXCEEDED, "more than the receive maximum")
        # Who waits for nothing has nothing to slow down: QoS 0 is shed, pings are answered
        is_ahead = count >= limits.max_unacknowledged or (over and count > 0)
        if is_ahead and not self.is_paused and self._transport is not None:
            self.is_paused = True
            self._hub.counters.paused += 1
            self._hub.waiting[self] = None
            self._transport.pause_reading()

    def read_on(self) -> None:
        """Read again once the log has caught up."""
        if self._unacknowledged < self._hub.limits.max_unacknowledged // 2:
            self._hub.waiting.pop(self, None)
            self.is_paused = False
            if self._transport is not None and not self.is_closing:
                self._transport.resume_reading()

    def acknowledge(self, packet_ids: list[int], *, qos: int) -> None:
        """Answer messages that are durable."""
        self._unacknowledged = max(0, self._unacknowledged - len(packet_ids))
        self.send(pubacks(packet_ids) if qos == 1 else pubrecs(packet_ids))

    def _handle(self, packet: Packet) -> bool:
        """Take a packet that is no PUBLISH; return whether to go on with those behind it."""
        if isinstance(packet, Connect):
            return self._connect(packet)
        session = self.session
        if session is None or self.is_closing:
            return False
        if isinstance(packet, PingReq):
            self.send(PINGRESP)
            return True
        if isinstance(packet, Disconnect):
            self._leave(session, packet)
            return False
        handler = self._services.handlers.get(type(packet))
        if handler is None:
            raise ProtocolError(PROTOCOL_ERROR, "AUTH without an authentication method")
        handler(session, self, packet)
        return True

    def _connect(self, packet: Connect) -> bool:
        self.version = packet.version
        try:
            name = certificate_name(self._transport)
            admitted = self._services.lifecycle.connect(self, packet, name)
        except ProtocolError as refused:
            self._hub.counters.refused += 1
            self.send(encode(ConnAck(reason=refused.reason_code), self.version))
            self._close()
            return False
        self._learn(packet, admitted.properties)
        self.session = admitted.session
        self._hub.counters.clients += 1
        properties = admitted.properties if self.version == V5 else None
        self.send(encode(ConnAck(admitted.is_present, 0, properties), self.version))
        if admitted.is_held:
            self._is_held = True
            self._hub.inbox.after(self._release)
        if admitted.is_present:
            self._hub.outbound.resume(admitted.session, self)
        return True

    def _learn(self, packet: Connect, told: props.Properties) -> None:
        asked = packet.properties or {}
        self.receive_max = asked.get(props.RECEIVE_MAXIMUM, self.receive_max)
        self.max_packet_bytes = asked.get(props.MAXIMUM_PACKET_SIZE, self.max_packet_bytes)
        ours = self._hub.limits.topic_alias_max
        self._max_aliases = min(ours, asked.get(props.TOPIC_ALIAS_MAXIMUM, 0))
        keep_alive_s = packet.keep_alive_s
        if self.version == V5:
            keep_alive_s = told.get(props.SERVER_KEEP_ALIVE, keep_alive_s)
        self.allowance_s = keep_alive_s * 1.5
        if not keep_alive_s:
            self._let_the_kernel_watch()

    def _let_the_kernel_watch(self) -> None:
        """Find a peer that is gone without its help: it announced no keep-alive."""
        self.allowance_s = float("inf")
        sock = self._transport.get_extra_info("socket") if self._transport else None
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def _leave(self, session: Session, packet: Disconnect) -> None:
        expiry_s = (packet.properties or {}).get(props.SESSION_EXPIRY)
        if expiry_s is not None:
            if expiry_s and not session.expiry_s:
                raise ProtocolError(PROTOCOL_ERROR, "a session without expiry cannot get one")
            session.expiry_s = min(expiry_s, self._hub.limits.max_session_expiry_s)
        with_will = packet.reason == DISCONNECT_WITH_WILL
        self._services.lifecycle.detach(session, with_will=with_will)
        self._close()

    def _fail(self, error: ProtocolError) -> None:
        """End the connection for a broken rule, with the reason where the version has one."""
        self._hub.counters.protocol_errors += 1
        if self.session is not None:
            self.disconnect(error.reason_code, lingers=True)
            if self.session.peer is self:
                self._services.lifecycle.detach(self.session, with_will=True)
            return
        if self._decoder.version == V5 or error.reason_code == UNSUPPORTED_VERSION:
            self.send(encode(ConnAck(reason=error.reason_code), self._decoder.version or 4))
        self._close(lingers=True)

    @property
    def is_open(self) -> bool:
        return not self.is_closing

    @property
    def buffered_bytes(self) -> int:
        transport = self._transport
        return self._out_bytes + (transport.get_write_buffer_size() if transport else 0)

    def alias(self, topic: str) -> tuple[int, bool]:
        if not self._max_aliases:
            return 0, False
        if self._aliases is None:
            self._aliases = {}
        known = self._aliases.get(topic)
        if known is not None:
            return known, True
        if len(self._aliases) >= self._max_aliases:
            return 0, False
        self._aliases[topic] = number = len(self._aliases) + 1
        return number, False

    def send(self, data: bytes) -> None:
        if self.is_closing:
            return
        if not self._out:
            self._hub.unwritten.append(self)
        self._out.append(data)
        self._out_bytes += len(data)

    def flush(self) -> None:
        if self._is_held or not self._out or self._transport is None:
            return
        data = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        self._transport.write(data)
        if self.is_full and self.buffered_bytes > 2 * self._hub.limits.subscriber_buffer_bytes:
            self._hub.counters.slow_disconnects += 1
            self.abort()

    def _release(self) -> None:
        self._is_held = False
        self.flush()

    def disconnect(self, reason: int, *, lingers: bool = False) -> None:
        if self.version == V5 and self.session is not None:
            self.send(encode(Disconnect(reason), V5))
        self._close(lingers=lingers)

    def _close(self, *, lingers: bool = False) -> None:
        if self.is_closing:
            return
        self._release()
        self.is_closing = True
        self.deadline_s = self._hub.clock.steady_s() + (LINGER_S if lingers else CLOSING_S)
        transport = self._transport
        if transport is None:
            return
        if not lingers or not transport.can_write_eof():
            transport.close()
            return
        self._early_bytes = 0
        transport.write_eof()
        if self.is_paused:
            transport.resume_reading()

    def _discard(self, data: bytes) -> None:
        """Read on for a while behind a broken rule, so that the peer can read why."""
        self._early_bytes += len(data)
        if self._early_bytes > LINGER_BYTES:
            self.abort()

    def abort(self) -> None:
        self.is_closing = True
        if self._transport is not None:
            self._transport.abort()


def _counted(flags: list[int]) -> int:
    """Return how many of these messages wait for an acknowledgement."""
    return sum(1 for flag in flags if flag & 3)
