"""The state of one client: subscriptions, what waits for it, what is in flight. No I/O.

A session outlives its connection when its expiry is above zero; only then is it `durable` and
kept in notes. Queues and tables are made when first needed: ten thousand idle devices have none.
Source: MQTT 5.0, 3.1.2.11 and 4.1; D-16.
"""

from collections import deque
from typing import Protocol

import msgspec

from millrace.adapters.broker_endpoint.records import (
    VERSION,
    ExactlyOnceRecord,
    Properties,
    QueueEntry,
    SessionRecord,
    SubscriptionRecord,
    WillRecord,
)

QUEUED, HELD, SENT, RELEASED, DONE = range(5)
QOS_2 = 2
V5 = 5


class Peer(Protocol):
    """What a session needs of its connection."""

    version: int
    receive_max: int
    max_packet_bytes: int

    @property
    def is_open(self) -> bool:
        """Whether anything sent can still arrive."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be written that nothing should be added."""
        ...

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait to be written."""
        ...

    def send(self, data: bytes) -> None:
        """Put bytes behind what is to be written; `flush` writes."""
        ...

    def flush(self) -> None:
        """Hand what was sent to the transport."""
        ...

    def alias(self, topic: str) -> tuple[int, bool]:
        """Return (alias or 0, whether the client knows it already) for a topic sent to it."""
        ...

    def acknowledge(self, packet_ids: list[int], *, qos: int) -> None:
        """Send PUBACKs or PUBRECs for messages of its own that are durable, and read on."""
        ...

    def disconnect(self, reason: int) -> None:
        """Say why and close; what was sent before is written first."""
        ...


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message on its way to subscribers. `expires_ns` 0: never. `sender` is a client id."""

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    properties: Properties | None = None
    expires_ns: int = 0
    sender: str = ""


class Part:
    """A stored part of a queue: gone when the last of its deliveries is done."""

    __slots__ = ("left", "number")

    def __init__(self, number: int, left: int = 0) -> None:
        self.number = number
        self.left = left


class Delivery:
    """One message for one session, from the decision to deliver until the acknowledgement.

    `message` is None while only the position in the log, `ref`, is held.
    """

    __slots__ = (
        "expires_ns", "identifiers", "message", "part", "properties", "qos", "ref", "retain",
        "state",
    )  # fmt: skip

    def __init__(self, message: Message | None, qos: int, *, retain: bool) -> None:
        self.message = message
        self.qos = qos
        self.retain = retain
        self.expires_ns = message.expires_ns if message else 0
        self.properties = message.properties if message else None
        self.identifiers: tuple[int, ...] = ()
        self.ref: tuple[int, int] | None = None
        self.part: Part | None = None
        self.state = QUEUED

    def size(self) -> int:
        """Bytes that this delivery keeps in memory beyond itself."""
        return len(self.message.payload) if self.message else 0

    def entry(self) -> QueueEntry:
        """Return what must be stored to deliver this after a restart."""
        message = self.message
        partition, offset = self.ref or (-1, 0)
        entry = QueueEntry(
            partition, offset, self.qos, self.retain, list(self.identifiers), self.expires_ns,
            properties=self.properties,
        )  # fmt: skip
        if partition < 0 and message:
            entry.topic, entry.payload = message.topic, message.payload
        return entry


class Session:
    """One client id."""

    __slots__ = (
        "client_id", "disconnected_ns", "expires_s", "expiry_s", "fetching", "inflight",
        "is_durable", "missing", "next_id", "parts", "peer", "principal", "protocol", "queue",
        "queue_bytes", "received", "subscriptions", "will", "will_due_s",
    )  # fmt: skip

    def __init__(self, client_id: str, principal: str, protocol: int, expiry_s: int) -> None:
        self.client_id = client_id
        self.principal = principal
        self.protocol = protocol
        self.expiry_s = expiry_s
        # Stays as it is until the session ends, though the client may shorten its expiry
        self.is_durable = expiry_s > 0
        self.peer: Peer | None = None
        self.will: WillRecord | None = None
        self.will_due_s = 0.0
        self.disconnected_ns = 0
        self.expires_s = 0.0
        self.subscriptions: dict[str, SubscriptionRecord] = {}
        self.queue: deque[Delivery] | None = None
        self.queue_bytes = 0
        self.inflight: dict[int, Delivery] | None = None
        # None: durable and answered; a peer: the PUBREC goes there once it is durable
        self.received: dict[int, Peer | None] | None = None
        self.next_id = 0
        self.parts = 0
        self.fetching = False
        # In flight before a restart, and not read from the log again yet
        self.missing: list[Delivery] | None = None

    def record(self) -> SessionRecord:
        """Return what is stored of the session itself."""
        return SessionRecord(
            VERSION,
            self.protocol,
            self.expiry_s,
            self.disconnected_ns,
            self.principal,
            list(self.subscriptions.values()),
        )

    def exactly_once(self) -> ExactlyOnceRecord | None:
        """Return the QoS 2 state in both directions, None when there is none."""
        sent = [
            (packet_id, delivery.part.number, delivery.state == RELEASED)
            for packet_id, delivery in (self.inflight or {}).items()
            if delivery.qos == QOS_2 and delivery.part is not None
        ]
        if not sent and not self.received:
            return None
        return ExactlyOnceRecord(VERSION, list(self.received or ()), sent)

    def take_id(self) -> int:
        """Return a packet id that is not in flight."""
        used = self.inflight or {}
        packet_id = self.next_id
        while True:
            packet_id = packet_id % 65_535 + 1
            if packet_id not in used:
                self.next_id = packet_id
                return packet_id

    def next_part(self) -> Part:
        """Return an empty part with the next number."""
        self.parts += 1
        return Part(self.parts)

    def has_waiting(self) -> bool:
        """Whether anything waits for the client, unsent or unacknowledged."""
        return bool(self.queue or self.inflight)
