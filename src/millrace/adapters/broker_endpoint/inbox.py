"""What waits for the log: messages as columns, notes, and what to do once they are durable.

`take` hands everything over at once, so the next group gathers while the log is busy with this
one. A ticket comes back in `settle`, in the order of the takes.
Source: D-16, D-17.
"""

import asyncio
from collections.abc import Callable

from millrace.adapters.broker_endpoint.limits import EndpointCounters, EndpointLimits
from millrace.adapters.broker_endpoint.records import EXACTLY_ONCE, encode_record
from millrace.adapters.broker_endpoint.session import Message, Peer, Session
from millrace.model.message import RawBatch, Receipts
from millrace.ports.broker import Intake
from millrace.ports.log import Note

Action = Callable[[], None]


class Ticket:
    """What `settle` must do for one intake.

    `acks` are (connection, packet ids at QoS 1); `received` (session, packet ids at QoS 2);
    `routed` (index, message) for those that somebody subscribes to; `actions` run last.
    """

    __slots__ = ("acks", "actions", "received", "routed", "size_bytes")

    def __init__(self) -> None:
        self.acks: list[tuple[Peer, list[int]]] = []
        self.received: list[tuple[Session, int]] = []
        self.routed: list[tuple[int, Message]] = []
        self.actions: list[Action] = []
        self.size_bytes = 0


class Inbox:
    """The intake under way."""

    def __init__(self, limits: EndpointLimits, counters: EndpointCounters) -> None:
        self._limits = limits
        self._counters = counters
        self._waiter: asyncio.Future[None] | None = None
        self._unsure: dict[Session, None] = {}
        self.receipts = Receipts()
        self.batch = RawBatch()
        self.ticket = Ticket()
        self.notes: dict[bytes, bytes | None] = {}
        self.lazy: dict[bytes, bytes | None] = {}
        self.shed: dict[str, int] = {}
        self.pending_bytes = 0

    @property
    def is_over_budget(self) -> bool:
        """Whether more bytes wait for the log than may."""
        return self.pending_bytes > self._limits.max_pending_bytes

    def grow(self, size_bytes: int) -> None:
        """Count payload bytes that were put into the batch."""
        self.ticket.size_bytes += size_bytes
        self.pending_bytes += size_bytes

    def wake(self) -> None:
        """Let `receive` return."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def note(self, key: bytes, value: bytes | None) -> None:
        """Store a note with the next append; the later of two on one key wins."""
        self.lazy.pop(key, None)
        self.notes[key] = value
        self.wake()

    def note_lazily(self, key: bytes, value: bytes | None) -> None:
        """Store a note with an append to come; losing it in a crash must be harmless."""
        notes = self.notes if key in self.notes else self.lazy
        notes[key] = value

    def drop_once(self, key: bytes) -> None:
        """Delete a note that is written only once; one that was not yet taken never is."""
        if self.lazy.get(key) is not None:
            del self.lazy[key]
        elif self.notes.get(key) is not None:
            del self.notes[key]
        else:
            self.lazy[key] = None

    def hasten(self) -> None:
        """Let lazy notes go with the next take, and see to it that there is one."""
        if self.lazy:
            self.notes = {**self.lazy, **self.notes}
            self.lazy = {}
            self.wake()

    def note_exactly_once(self, session: Session) -> None:
        """Store the QoS 2 state of a session with the next append, as it is by then."""
        if session.is_durable:
            self._unsure[session] = None
            self.wake()

    def forget(self, session: Session) -> None:
        """Store nothing more about the QoS 2 state of a session that has ended."""
        self._unsure.pop(session, None)

    def after(self, action: Action) -> None:
        """Run an action once everything noted so far is durable."""
        self.ticket.actions.append(action)
        self.wake()

    def count_shed(self, topic: str) -> None:
        """Count a QoS 0 message that was refused because too much waits."""
        self.shed[topic] = self.shed.get(topic, 0) + 1
        self._counters.shed += 1
        self.wake()

    def has_work(self) -> bool:
        """Whether a take would hold anything that is not lazy."""
        return bool(
            self.batch.topics or self.notes or self.ticket.actions or self._unsure or self.shed
        )

    async def wait(self) -> None:
        """Return when there is work."""
        while not self.has_work():
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def take(self) -> Intake:
        """Hand over everything, lazy notes too."""
        for session in self._unsure:
            record = session.exactly_once()
            key = EXACTLY_ONCE + session.client_id.encode()
            self.notes[key] = encode_record(record) if record else None
        self._unsure.clear()
        notes = {**self.lazy, **self.notes}
        intake = Intake(self.batch, [Note(*note) for note in notes.items()], self.ticket, self.shed)
        self.batch, self.ticket = RawBatch(), Ticket()
        self.notes, self.lazy, self.shed = {}, {}, {}
        return intake
