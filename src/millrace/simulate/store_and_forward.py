"""What waits for a broker that is away, or slow: in order, and within a bound.

When it is full the oldest goes, as in a device with a ring of flash; what went is counted, and a
meter's sequence numbers show the hole.
Source: MTR-151.
"""

from collections import deque

from millrace.simulate.acts import Message


class Outbox:
    """The messages that one connection has still to send."""

    __slots__ = ("_most", "_waiting", "dropped")

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[Message] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Message) -> None:
        """Add the newest message."""
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(message)

    def put_first(self, message: Message) -> None:
        """Add a message before all others; it is never the one that goes."""
        self._waiting.appendleft(message)

    def next(self) -> Message | None:
        """Return the oldest message without taking it; None if there is none."""
        return self._waiting[0] if self._waiting else None

    def take(self) -> None:
        """Forget the oldest message: it was sent."""
        self._waiting.popleft()
