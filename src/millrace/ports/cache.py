"""The cache: values that may vanish at any time, and news that may be missed.

Whoever reads from it can find the same answer elsewhere; whoever writes to it may fail without
harm. With Redis, several processes share one.
Source: SNS-060 to SNS-064, REG-110 to REG-118.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """One value under its key. Units: `ttl_s` seconds until it vanishes by itself."""

    key: str
    value: bytes
    ttl_s: float


class Cache(Protocol):
    """Values by key, each with a time to live. Thread-confined.

    Raises, all methods: RetryError when the cache is away; nothing is known of what was done.
    """

    def get(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values that are there."""
        ...

    def put(self, entries: Sequence[Entry]) -> None:
        """Set values, in this order, each with its time to live. Idempotent: yes."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Remove values; those that are not there are no error."""
        ...

    def clear(self, beginnings: Sequence[str]) -> None:
        """Remove all values whose keys begin with one of these."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


class News(Protocol):
    """Notices that the registry was written (REG-117). Hints only: one may be missed in silence."""

    def tell(self, notice: bytes) -> None:
        """Tell all processes, this one included. Raises: RetryError."""
        ...

    def heard(self) -> bool:
        """Return whether there may be news since the last call; never waits for any.

        True as well after a connection was made, because nothing is known of the time before.
        Raises:
            RetryError: Nobody can be heard at the moment.
        """
        ...

    def close(self) -> None:
        """Release the connection."""
        ...
