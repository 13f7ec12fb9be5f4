"""The broker: where messages of devices come from, and where messages to devices go."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from millrace.model.message import RawBatch
from millrace.ports.log import Note


@dataclass(slots=True)
class Intake:
    """Messages that wait to be made durable, with what must become durable beside them.

    `ticket` is the broker's own; it is handed back unread. `shed` counts QoS 0 messages that were
    refused under pressure, by topic.
    """

    messages: RawBatch
    notes: list[Note] = field(default_factory=list)
    ticket: Any = None
    shed: dict[str, int] = field(default_factory=dict)


class Broker(Protocol):
    """Where ingest takes messages from. Used from one event loop."""

    async def start(self) -> None:
        """Connect or listen.

        Raises:
            StopError: The address is taken or the settings cannot work.
        """
        ...

    async def receive(self) -> Intake:
        """Return all that has come since the last call; wait when there is nothing.

        Cancel-safe: yes. Order: messages of one connection in the order of receipt.
        Not guaranteed: nothing is durable or acknowledged yet.
        """
        ...

    def settle(self, intake: Intake, offsets: Sequence[tuple[int, int]]) -> None:
        """Acknowledge an intake whose messages and notes are durable; deliver to subscribers.

        Shape: `offsets` has the (partition, offset) of each message of the intake.
        Not guaranteed: that the peer is still there; acknowledgements of an older connection are
        dropped, never sent on a newer one.
        """
        ...

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        expiry_s: int | None = None,
    ) -> None:
        """Send a message to devices; return when the broker has taken it on.

        Raises:
            RetryError: The broker is away.
        """
        ...

    async def close(self) -> None:
        """Stop accepting, settle nothing more, say goodbye; a second call does nothing."""
        ...
