"""The log: the durable, partitioned, ordered record of messages."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from millrace.model.message import RawBatch


class Extent(NamedTuple):
    """Offsets that one partition holds: `start` inclusive, `end` exclusive."""

    start: int
    end: int


class Note(NamedTuple):
    """A key of the log's companion store and its new value; None deletes the key.

    Notes are what a broker must remember exactly as long as the messages: sessions, retained
    messages, wills, QoS 2 packet ids, offline queues, and counters of what was received (D-16).
    """

    key: bytes
    value: bytes | None


class Log(Protocol):
    """The writing end. One process at a time."""

    @property
    def partitions(self) -> int:
        """Number of partitions; fixed for the life of the log."""
        ...

    def append(self, batches: Sequence[RawBatch], notes: Sequence[Note] = ()) -> list[int]:
        """Append batches and notes as one transaction; return the first offset of each batch.

        When it returns, everything is durable. Two notes on one key: the later wins.
        Shape: at most one batch per partition; `first_offset` of each is filled in.
        Blocks: until the disk (or the cluster) has confirmed.
        Idempotent: no; after an error nothing of the call is stored.
        Order: offsets of a partition are dense and follow the order of calls.
        Raises:
            RetryError: No space or no quorum; nothing was stored, try the same call later.
            StopError: The disk failed in a way after which nothing may be acknowledged.
        """
        ...

    def unnoted(self) -> Iterable[RawBatch]:
        """Return once what this writer has appended without the notes of the append.

        Where an append and its notes are one transaction there is nothing; elsewhere a crash may
        come between. Whoever counts in notes counts these now.
        """
        ...

    def notes(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return all notes whose key begins with `prefix`, in key order."""
        ...

    def extents(self) -> list[Extent]:
        """Return what each partition holds."""
        ...

    def retire(self, *, before_ns: int | None, max_bytes: int | None, keep: Sequence[int]) -> int:
        """Remove the oldest batches received before an instant, or beyond a size.

        Never removes a message at or after the offset in `keep` of its partition.
        Returns the number of messages removed.
        """
        ...

    def close(self) -> None:
        """Release the log; a second call does nothing."""
        ...


class LogReader(Protocol):
    """The reading end. Any number, in any process, each at its own position."""

    @property
    def partitions(self) -> int:
        """Number of partitions."""
        ...

    def read(self, partition: int, offset: int, max_messages: int) -> RawBatch | None:
        """Return messages from `offset` on, or None when there is nothing yet.

        At least one message when there is one, at most `max_messages` rounded up to whole stored
        batches; the result begins exactly at `offset`.
        Blocks: for the read only; it never waits for new messages.
        Raises:
            GoneError: The offset is older than retention.
            StopError: The stored bytes are damaged; names partition and offsets.
        """
        ...

    def extents(self) -> list[Extent]:
        """Return what each partition holds."""
        ...

    def appended(self) -> int:
        """Return the number of messages that the notes speak of; it may lag the writer."""
        ...

    def notes(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the companion notes with this prefix, in key order; may lag the writer."""
        ...

    def offset_at(self, partition: int, received_at_ns: int) -> int:
        """Return the offset of the first stored batch that may hold messages from then on."""
        ...

    def close(self) -> None:
        """Release the reader; a second call does nothing."""
        ...
