"""What all connections of one endpoint share."""

import heapq
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from millrace.adapters.broker_endpoint.access import Access
from millrace.adapters.broker_endpoint.delivery import Outbound
from millrace.adapters.broker_endpoint.inbox import Inbox
from millrace.adapters.broker_endpoint.limits import EndpointCounters, EndpointLimits
from millrace.adapters.broker_endpoint.receipts import Receipts
from millrace.adapters.broker_endpoint.records import (
    ROUTED,
    VERSION,
    RoutedRecord,
    encode_record,
)
from millrace.adapters.broker_endpoint.retained import RetainedMessages
from millrace.adapters.broker_endpoint.routes import Routes
from millrace.adapters.broker_endpoint.sending import Sender
from millrace.adapters.broker_endpoint.session import Peer, Session
from millrace.ports.clock import Clock
from millrace.ports.log import LogReader


class Paused(Protocol):
    """A connection that is not read until the log has caught up."""

    def read_on(self) -> None:
        """Read again if what paused the connection is over."""
        ...


@dataclass(slots=True)
class Hub:
    """The state of one endpoint; used from one event loop.

    `unwritten` are the connections that have something to flush; `waiting` those that are paused
    until the log has caught up; `due` is a heap of (steady second, client id) at which a will or
    the end of a session may be due; `offsets` the next offset per partition. Who uses `reader`
    holds `reading`: offline queues are read in a thread.
    """

    limits: EndpointLimits
    clock: Clock
    access: Access
    counters: EndpointCounters
    reader: LogReader | None
    inbox: Inbox = field(init=False)
    routes: Routes = field(init=False)
    retained: RetainedMessages = field(init=False)
    outbound: Outbound = field(init=False)
    receipts: Receipts = field(init=False)
    sessions: dict[str, Session] = field(default_factory=dict)
    unwritten: list[Peer] = field(default_factory=list)
    waiting: dict[Paused, None] = field(default_factory=dict)
    due: list[tuple[float, str]] = field(default_factory=list)
    offsets: dict[int, int] = field(default_factory=dict)
    topics: dict[bytes, str] = field(default_factory=dict)
    reading: Lock = field(default_factory=Lock)
    is_closed: bool = False

    def __post_init__(self) -> None:
        self.inbox = Inbox(self.limits, self.counters)
        self.routes = Routes()
        self.retained = RetainedMessages(self.limits)
        sender = Sender(self.limits, self.counters, self.clock)
        self.outbound = Outbound(
            self.limits, self.counters, inbox=self.inbox, routes=self.routes, sender=sender
        )
        self.receipts = Receipts(self.inbox, self.outbound)

    def flush(self) -> None:
        """Hand everything that was sent to the transports."""
        while self.unwritten:
            pending, self.unwritten = self.unwritten, []
            for peer in pending:
                peer.flush()

    def checkpoint(self) -> None:
        """Write down what grew in the queues, and up to where in the log they are complete."""
        self.outbound.store_parts()
        if self.routes.durable:
            record = RoutedRecord(VERSION, self.offsets)
            self.inbox.note_lazily(ROUTED, encode_record(record))

    def wake_at(self, due_s: float, client_id: str) -> None:
        """See to it that the sweep looks at a client then."""
        heapq.heappush(self.due, (due_s, client_id))
