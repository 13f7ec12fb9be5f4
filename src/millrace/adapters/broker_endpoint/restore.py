"""What the endpoint knew before a restart: notes back into sessions, and the tail of the log.

Rules: a client that was connected counts as disconnected from the moment of the restart. Wills
wait a while, so that devices that come back at once are not declared dead. Queues are complete up
to the offsets noted; from there on the log is routed again, to durable sessions.
Source: D-16, D-22; MQTT 5.0, 4.1.
"""

from collections import deque
from collections.abc import Callable

from millrace.adapters.broker_endpoint.hub import Hub
from millrace.adapters.broker_endpoint.records import (
    EXACTLY_ONCE,
    PREFIX,
    QUEUE,
    RETAINED,
    ROUTED,
    SESSION,
    WILL,
    ExactlyOnceRecord,
    QueueEntry,
    QueueRecord,
    RetainedRecord,
    RoutedRecord,
    SessionRecord,
    WillRecord,
    decode_record,
    split_queue_key,
)
from millrace.adapters.broker_endpoint.session import (
    RELEASED,
    SENT,
    Delivery,
    Message,
    Part,
    Session,
)
from millrace.errors import GoneError
from millrace.model.message import HTTP, QOS_MASK, REDRIVE, REGISTRY, RETAIN, TICK, RawBatch
from millrace.ports.log import LogReader

Notes = Callable[[bytes], list[tuple[bytes, bytes]]]
NANOS = 1_000_000_000
TAIL_MESSAGES = 10_000
_NOT_PUBLISHED = TICK | REGISTRY | REDRIVE | HTTP


class Restoration:
    """Fills an empty hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._queues: dict[str, list[tuple[int, QueueRecord]]] = {}
        self._exactly_once: dict[str, ExactlyOnceRecord] = {}
        self._wills: dict[str, WillRecord] = {}

    def run(self, notes: Notes) -> None:
        """Read all notes, then what the log has beyond them.

        Blocks: for the reads.
        Raises:
            StopError: A note is damaged or of a later release; the log is damaged.
        """
        for key, value in notes(PREFIX):
            self._read(key, value)
        for name, will in self._wills.items():
            self._will(name, will)
        for session in list(self._hub.sessions.values()):
            self._waiting(session)
        if self._hub.reader is not None and self._hub.routes.durable:
            self._route_tail(self._hub.reader)

    def _read(self, key: bytes, value: bytes) -> None:
        if key.startswith(QUEUE):
            client_id, number = split_queue_key(key)
            part = number, decode_record(value, QueueRecord)
            self._queues.setdefault(client_id, []).append(part)
            return
        name = key[len(SESSION) :].decode()
        if key.startswith(SESSION):
            self._session(name, decode_record(value, SessionRecord))
        elif key.startswith(WILL):
            self._wills[name] = decode_record(value, WillRecord)
        elif key.startswith(EXACTLY_ONCE):
            self._exactly_once[name] = decode_record(value, ExactlyOnceRecord)
        elif key.startswith(RETAINED):
            self._retained(name, decode_record(value, RetainedRecord))
        elif key == ROUTED:
            self._hub.offsets = dict(decode_record(value, RoutedRecord).offsets)

    def _session(self, client_id: str, record: SessionRecord) -> None:
        hub = self._hub
        session = Session(client_id, record.principal, record.protocol, record.expiry_s)
        # A note exists, so it is durable; an expiry of zero only makes it end at once
        session.is_durable = True
        session.disconnected_ns = record.disconnected_ns or hub.clock.now_ns()
        away_s = max(0, hub.clock.now_ns() - session.disconnected_ns) / NANOS
        session.expires_s = hub.clock.steady_s() + max(0.0, record.expiry_s - away_s)
        hub.sessions[client_id] = session
        hub.wake_at(session.expires_s, client_id)
        for subscription in record.subscriptions:
            hub.routes.add(session, subscription)

    def _will(self, client_id: str, will: WillRecord) -> None:
        hub = self._hub
        session = hub.sessions.get(client_id)
        due_s = hub.clock.steady_s() + max(float(will.delay_s), hub.limits.will_grace_s)
        if session is None:
            # Protocol 0: nothing is left of the session but its will
            session = hub.sessions[client_id] = Session(client_id, will.principal, 0, 0)
            session.expires_s = due_s
        session.will, session.will_due_s = will, due_s
        hub.wake_at(due_s, client_id)

    def _retained(self, topic: str, record: RetainedRecord) -> None:
        message = Message(
            topic, record.payload, record.qos, retain=True, properties=record.properties,
            expires_ns=record.expires_ns,
        )  # fmt: skip
        self._hub.retained.put(message)

    def _waiting(self, session: Session) -> None:
        known = self._exactly_once.get(session.client_id)
        if known is not None and known.received:
            session.received = dict.fromkeys(known.received)
        flying = (
            {number: (packet_id, done) for packet_id, number, done in known.sent} if known else {}
        )
        for number, record in sorted(self._queues.get(session.client_id, ())):
            part = Part(number, len(record.entries))
            session.parts = max(session.parts, number)
            for entry in record.entries:
                delivery = _delivery(entry, part)
                if number in flying:
                    self._fly(session, delivery, *flying[number])
                else:
                    if session.queue is None:
                        session.queue = deque()
                    session.queue.append(delivery)
                    session.queue_bytes += delivery.size()
                    self._hub.outbound.queued += 1

    def _fly(
        self,
        session: Session,
        delivery: Delivery,
        packet_id: int,
        is_released: bool,  # noqa: FBT001 - of a record
    ) -> None:
        if session.inflight is None:
            session.inflight = {}
        session.inflight[packet_id] = delivery
        session.next_id = max(session.next_id, packet_id)
        delivery.state = RELEASED if is_released else SENT

    def _route_tail(self, reader: LogReader) -> None:
        hub = self._hub
        for partition, extent in enumerate(reader.extents()):
            offset = max(hub.offsets.get(partition, extent.end), extent.start)
            while offset < extent.end:
                try:
                    batch = reader.read(partition, offset, TAIL_MESSAGES)
                except GoneError:
                    break
                if batch is None:
                    break
                self._route(batch)
                offset = batch.first_offset + len(batch)
            hub.offsets[partition] = offset
        hub.checkpoint()

    def _route(self, batch: RawBatch) -> None:
        columns = zip(batch.topics, batch.payloads, batch.flags, batch.client_ids, strict=True)
        for i, (topic, payload, flags, client_id) in enumerate(columns):
            if not flags & QOS_MASK or flags & _NOT_PUBLISHED or self._hub.routes.is_quiet(topic):
                continue
            message = Message(
                topic, payload, flags & QOS_MASK, bool(flags & RETAIN), sender=client_id
            )
            self._hub.outbound.route(message, (batch.partition, batch.first_offset + i))


def _delivery(entry: QueueEntry, part: Part) -> Delivery:
    message: Message | None = None
    if entry.partition < 0:
        message = Message(
            entry.topic, entry.payload, entry.qos, entry.retain, entry.properties, entry.expires_ns
        )
    delivery = Delivery(message, entry.qos, retain=entry.retain)
    delivery.identifiers = tuple(entry.identifiers)
    delivery.expires_ns = entry.expires_ns
    delivery.properties = entry.properties
    delivery.ref = (entry.partition, entry.offset) if entry.partition >= 0 else None
    delivery.part = part
    return delivery
