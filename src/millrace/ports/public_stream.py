"""The public stream: what was decoded, for consumers of others."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

DECODED: Final = "decoded"
EVENTS: Final = "events"
DEAD_LETTERS: Final = "dead_letters"


class PublicRecord(NamedTuple):
    """One JSON record. `stream` is one of the three above, `partition` that of the raw message."""

    stream: str
    partition: int
    key: str
    value: bytes
    time_ns: int


class PublicStream(Protocol):
    """The writing end. Thread-confined."""

    def publish(self, records: Sequence[PublicRecord]) -> None:
        """Write records, in order within a partition.

        Blocks: until all in-sync replicas have them.
        Idempotent: no; after a RetryError some of them may be there, and the call is repeated.
        Raises:
            RetryError: They were not confirmed in time.
            StopError: They cannot be written.
        """
        ...

    def close(self) -> None:
        """Release the client; a second call does nothing."""
        ...
