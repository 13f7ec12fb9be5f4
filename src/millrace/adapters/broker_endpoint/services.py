"""What a connection calls: one table from packet to handler, and the list of connections.

The sweep is the only timer of the endpoint: keep-alives, CONNECT deadlines, wills, session ends.
Source: MQTT 5.0, 3.1.2.10; faults F44, F45; attack A11.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from millrace.adapters.broker_endpoint.hub import Hub
from millrace.adapters.broker_endpoint.inbox import Ticket
from millrace.adapters.broker_endpoint.lifecycle import Lifecycle
from millrace.adapters.broker_endpoint.publishing import Publishing
from millrace.adapters.broker_endpoint.session import Peer, Session
from millrace.adapters.broker_endpoint.subscribing import Subscribing
from millrace.mqtt.packets import (
    Packet,
    PubAck,
    PubComp,
    PubRec,
    PubRel,
    Subscribe,
    Unsubscribe,
)
from millrace.mqtt.reasons import KEEP_ALIVE_TIMEOUT, SERVER_SHUTTING_DOWN

Handler = Callable[[Session, Peer, Any], None]


class Swept(Peer, Protocol):
    """What the sweep needs of a connection."""

    session: Session | None
    is_active: bool
    is_paused: bool
    is_closing: bool
    allowance_s: float
    deadline_s: float

    def abort(self) -> None:
        """Drop the connection at once."""
        ...

    def read_on(self) -> None:
        """Read again if what paused the connection is over."""
        ...


class Services:
    """The endpoint as its connections see it."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.publishing = Publishing(hub)
        self.lifecycle = Lifecycle(hub, self.publishing)
        self.connections: dict[Swept, None] = {}
        self.all_gone = asyncio.Event()
        subscribing = Subscribing(hub, self.lifecycle)
        receipts = hub.receipts
        self.handlers: dict[type[Packet], Handler] = {
            PubAck: receipts.puback,
            PubRec: receipts.pubrec,
            PubRel: receipts.pubrel,
            PubComp: receipts.pubcomp,
            Subscribe: subscribing.subscribe,
            Unsubscribe: subscribing.unsubscribe,
        }

    def opened(self, connection: Swept) -> None:
        """Take a connection on, or drop it when there are too many."""
        counters = self.hub.counters
        if self.hub.is_closed or len(self.connections) >= self.hub.limits.max_connections:
            counters.refused += 1
            connection.abort()
            return
        counters.accepted += 1
        counters.connections += 1
        self.connections[connection] = None

    def lost(self, connection: Swept) -> None:
        """Let a connection go that is closed; without a DISCONNECT its will is due."""
        hub = self.hub
        hub.waiting.pop(connection, None)
        if connection not in self.connections:
            return
        del self.connections[connection]
        hub.counters.connections -= 1
        if hub.is_closed and not self.connections:
            self.all_gone.set()
        session = connection.session
        if session is None:
            return
        hub.counters.clients -= 1
        if session.peer is connection and not hub.is_closed:
            self.lifecycle.detach(session, with_will=True)
            hub.flush()

    def settle(self, ticket: Ticket, offsets: Sequence[tuple[int, int]]) -> None:
        """Acknowledge and deliver what is durable, and let paused connections read on."""
        self.publishing.settle(ticket, offsets)
        if not self.hub.inbox.is_over_budget:
            for connection in list(self.hub.waiting):
                connection.read_on()
        self.hub.flush()

    def sweep(self) -> None:
        """Act on every deadline that has passed."""
        hub = self.hub
        now_s = hub.clock.steady_s()
        for connection in list(self.connections):
            if connection.is_closing:
                if now_s >= connection.deadline_s:
                    connection.abort()
            elif connection.is_active or connection.is_paused:
                # A paused connection is not read: its silence is ours (D-17)
                connection.is_active = False
                if connection.session is not None:
                    connection.deadline_s = now_s + connection.allowance_s
            if now_s >= connection.deadline_s and not connection.is_closing:
                hub.counters.timeouts += 1
                connection.disconnect(KEEP_ALIVE_TIMEOUT)
        self.lifecycle.sweep(now_s)
        if hub.outbound.has_unstored():
            hub.checkpoint()
        hub.inbox.hasten()
        hub.flush()

    def shut_down(self) -> None:
        """Say goodbye to everybody; sessions and wills stay as they are stored."""
        self.hub.is_closed = True
        for connection in list(self.connections):
            connection.disconnect(SERVER_SHUTTING_DOWN)
