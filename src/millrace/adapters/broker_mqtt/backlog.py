"""What has come and is not yet durable: in order, by connection, within a budget of bytes.

Rules: one intake never mixes connections. Acknowledgements leave in the order of receipt, so an
intake that is settled early waits for those before it (P6).

Source: D-17, MTR-008; reliability.md P6, P10, F17.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from millrace.model.message import DUP, REPLAYED, RETAIN, RawBatch, Receipts
from millrace.mqtt.packets import Publish
from millrace.ports.broker import Intake

# What a message costs in memory beside its bytes.
OVERHEAD_BYTES: Final = 300


@dataclass(slots=True)
class Ticket:
    """Messages of one intake: which connection must be told what, once they are durable."""

    epoch: int
    messages: list[Publish] = field(default_factory=list)
    received_at_ns: list[int] = field(default_factory=list)
    size_bytes: int = 0
    is_settled: bool = False

    def packet_ids(self, qos: int) -> list[int]:
        """Return the packet ids of one QoS, in the order of receipt."""
        return [one.packet_id for one in self.messages if one.qos == qos]


class Backlog:
    """Messages between the socket and the log."""

    def __init__(self) -> None:
        self._waiting: deque[Ticket] = deque()
        self._handed: deque[Ticket] = deque()
        self._receipts = Receipts()
        self.size_bytes = 0

    def __bool__(self) -> bool:
        """Whether something waits to be taken."""
        return bool(self._waiting)

    def add(self, epoch: int, messages: list[Publish], received_at_ns: int) -> None:
        """Add what one read has brought."""
        waiting = self._waiting
        if not waiting or waiting[-1].epoch != epoch:
            waiting.append(Ticket(epoch))
        ticket = waiting[-1]
        size = sum([len(one.payload) for one in messages]) + OVERHEAD_BYTES * len(messages)
        ticket.messages += messages
        ticket.received_at_ns += self._receipts.stamp(received_at_ns, len(messages))
        ticket.size_bytes += size
        self.size_bytes += size

    def take(self) -> Intake:
        """Return the oldest that waits. Shape: something does."""
        ticket = self._waiting.popleft()
        self._handed.append(ticket)
        messages = ticket.messages
        batch = RawBatch(
            topics=[one.topic for one in messages],
            payloads=[one.payload for one in messages],
            received_at_ns=ticket.received_at_ns,
            flags=[_FLAGS[one.qos, one.retain, one.dup] for one in messages],
            client_ids=[""] * len(messages),
            packet_ids=[one.packet_id for one in messages],
        )
        return Intake(batch, ticket=ticket)

    def settle(self, ticket: Ticket) -> Sequence[Ticket]:
        """Take note that a ticket is durable; return those that may be acknowledged, in order."""
        ticket.is_settled = True
        ready: list[Ticket] = []
        while self._handed and self._handed[0].is_settled:
            ready.append(self._handed.popleft())
            self.size_bytes -= ready[-1].size_bytes
        return ready


# We subscribe without "retain as published", so a set RETAIN means: from the broker's store.
_FLAGS: Final = {
    (qos, retain, dup): qos | (RETAIN | REPLAYED if retain else 0) | (DUP if dup else 0)
    for qos in range(3)
    for retain in (False, True)
    for dup in (False, True)
}
