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
