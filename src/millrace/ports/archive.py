"""The archive: objects of raw messages, kept for as long as somebody wants to read them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object. Units: bytes; UTC nanoseconds."""

    key: str
    size: int
    modified_at_ns: int


class Archive(Protocol):
    """An object store, seen from the archiver. Keys are made by us, never taken from input."""

    def put(self, key: str, body: bytes) -> None:
        """Store an object durably; a repeated call with the same body changes nothing.

        Raises:
            RetryError: The store is away or full.
        """
        ...

    def get(self, key: str) -> bytes:
        """Return an object. Raises: NotFoundError."""
        ...

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Iterator[StoredObject]:
        """Yield objects below a prefix in key order, beginning behind `after`."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; a missing one is no error."""
        ...


@dataclass(frozen=True, slots=True)
class Intent:
    """Messages of one partition that are about to become objects (D-28).

    `first` and `last` are log offsets, both inclusive; `key` is that of the manifest which will
    list the objects.
    """

    partition: int
    first: int
    last: int
    key: str


class ArchivePositions(Protocol):
    """How far the archiver has come, kept in the ledger. Thread-confined."""

    def position(self, partition: int) -> int:
        """Return the offset of the next message to archive, 0 at first."""
        ...

    def take_up(self, partition: int, start: int) -> int:
        """Return the offset of the next message to archive; at first put it at `start`, durably.

        From then on the log keeps what is not archived.
        """
        ...

    def intent(self, partition: int) -> Intent | None:
        """Return what was begun and not finished."""
        ...

    def begin(self, intent: Intent) -> None:
        """Remember an intent durably, before the first of its objects is written.

        Raises:
            FencedError: Another intent of this partition is not finished.
            RetryError: The ledger is away; nothing was stored.
        """
        ...

    def finish(self, intent: Intent) -> None:
        """Move the position behind an intent and forget it, as one transaction.

        Raises:
            FencedError: That intent is not the one that was begun.
            RetryError: The ledger is away; nothing was stored.
        """
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


class Outcomes(Protocol):
    """What became of messages, as far as the archive must know. Thread-confined."""

    def decided(self, partition: int) -> int:
        """Return the offset up to which (exclusive) every message has its outcome."""
        ...

    def not_stored(self, partition: int, first: int, last: int) -> set[int]:
        """Return the offsets, both ends inclusive, of duplicates and of whole dead letters.

        Source: MTR-134, D-52.
        """
        ...

    def close(self) -> None:
        """Release the connection."""
        ...
