"""Messages as they were received: bytes on a topic, with the instant of receipt.

A batch holds the messages of one log partition as parallel columns, because that is how they are
framed, read and decoded; nothing in the hot path makes an object per message.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

QOS_MASK = 3
RETAIN = 4
DUP = 8
REPLAYED = 16  # delivered from a retained store at subscription, not live
TICK = 32  # no message of a device: time passes, the payload is the tick (D-14)
REGISTRY = 64  # no message of a device: the registry changed
REDRIVE = 128  # a dead letter handed in again: sequence rules are skipped
HTTP = 256  # came in over HTTP, not MQTT

NOT_FROM_DEVICE = TICK | REGISTRY

# What came in one read is spaced by this much, so that messages without a clock of their own do
# not fall on one instant and replace each other; history knows microseconds.
SPACING_NS = 1_000
MAX_AHEAD_NS = 1_000_000_000


class Receipts:
    """Instants of receipt that never repeat. Units: UTC nanoseconds."""

    __slots__ = ("_last_ns",)

    def __init__(self) -> None:
        self._last_ns = 0

    def stamp(self, now_ns: int, count: int) -> range:
        """Return the instants of `count` messages that have come by `now_ns`, at least one."""
        if self._last_ns - now_ns > MAX_AHEAD_NS:
            self._last_ns = 0  # the clock was set back: it is believed
        first = max(now_ns, self._last_ns + SPACING_NS)
        stamps = range(first, first + count * SPACING_NS, SPACING_NS)
        self._last_ns = stamps[-1]
        return stamps


@dataclass(slots=True)
class RawBatch:
    """Consecutive messages of one partition, in log order.

    Shape: all columns have one entry per message; offsets are dense, so message `i` has offset
    `first_offset + i`. Before the append `first_offset` is -1.
    Units: `received_at_ns` are UTC nanoseconds since 1970.
    `extras` holds what only few messages have, by index: for a re-driven one the JSON object
    `{"element", "index"}`.
    """

    partition: int = 0
    first_offset: int = -1
    topics: list[str] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    received_at_ns: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    client_ids: list[str] = field(default_factory=list)
    packet_ids: list[int] = field(default_factory=list)
    extras: dict[int, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.topics)

    def add(
        self,
        topic: str,
        payload: bytes,
        received_at_ns: int,
        *,
        flags: int = 0,
        client_id: str = "",
        packet_id: int = 0,
    ) -> None:
        """Append one message to the columns."""
        self.topics.append(topic)
        self.payloads.append(payload)
        self.received_at_ns.append(received_at_ns)
        self.flags.append(flags)
        self.client_ids.append(client_id)
        self.packet_ids.append(packet_id)

    @property
    def next_offset(self) -> int:
        """Offset of the message that will follow this batch."""
        return self.first_offset + len(self.topics)

    def upto(self, end_offset: int) -> "RawBatch":
        """Return the messages before `end_offset`."""
        count = end_offset - self.first_offset
        if count >= len(self):
            return self
        return RawBatch(
            self.partition,
            self.first_offset,
            self.topics[:count],
            self.payloads[:count],
            self.received_at_ns[:count],
            self.flags[:count],
            self.client_ids[:count],
            self.packet_ids[:count],
            {i: extra for i, extra in self.extras.items() if i < count},
        )

    def since(self, offset: int) -> "RawBatch":
        """Return the messages from `offset` on."""
        count = offset - self.first_offset
        if count <= 0:
            return self
        return RawBatch(
            self.partition,
            offset,
            self.topics[count:],
            self.payloads[count:],
            self.received_at_ns[count:],
            self.flags[count:],
            self.client_ids[count:],
            self.packet_ids[count:],
            {i - count: extra for i, extra in self.extras.items() if i >= count},
        )


def size_bytes(payloads: Sequence[bytes]) -> int:
    """Return the number of payload bytes."""
    return sum(map(len, payloads))
