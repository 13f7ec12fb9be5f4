"""The ledger: takes the effects of work and its position in the log as one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from millrace.model.series import SeriesKey
from millrace.model.work import Committed, Effects, LatestPage, SequenceRow


@dataclass(frozen=True, slots=True)
class Claim:
    """What this process holds now: partition -> next offset, and the stored `Effects.paces`."""

    positions: Mapping[int, int]
    paces: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HotBatch:
    """Readings of one commit that are not sealed yet. `frame` is read by `record.frame`."""

    id: int
    committed_at_ns: int
    rows: int
    frame: bytes


class Ledger(Protocol):
    """The writing end, held by the pump. Thread-confined."""

    def claim(self, reader: str, stream: str, partitions: Sequence[int]) -> Claim:
        """Take positions over (REG-076); earlier holders can no longer commit."""
        ...

    def commit(self, effects: Effects) -> Committed:
        """Store all effects and move the positions, or do nothing.

        Blocks: until durable. Idempotent: no, but a repeated call is fenced by the positions.
        Raises:
            FencedError: Somebody else has taken a position over.
            StaleError: The registry version is no longer that of the effects.
            UnsureError: The connection was cut while committing. Call again with the very same
                effects: they are committed unless they have been already.
            RetryError: No space, busy, or the database is away; nothing was stored.
            RejectError: Something in the effects can never be stored; nothing was. Whoever calls
                finds the message by committing parts.
        """
        ...

    def series(self, device_ids: Sequence[str]) -> list[tuple[SeriesKey, int]]:
        """Return the series of these devices with their ids."""
        ...

    def snapshot(self, reader: str) -> tuple[dict[int, int], list[SequenceRow]]:
        """Return the positions of the last snapshot and all sequence rows; empty at first."""
        ...

    def close(self) -> None:
        """Release the ledger."""
        ...


class HotReadings(Protocol):
    """The reading end for those who query and seal: hot batches by id. Thread-confined."""

    def hot(self, after_id: int, limit: int = 1000) -> list[HotBatch]:
        """Return hot batches with an id above `after_id`, ascending."""
        ...

    def forget_hot(self, up_to_id: int) -> int:
        """Delete hot batches up to and including an id (they are sealed); return how many."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


class LatestPages(Protocol):
    """The latest values as they are stored, for those who must know them at the start."""

    def latest_pages(self) -> tuple[int, list[LatestPage]]:
        """Return the hot batch that the pages are complete to, and the pages."""
        ...


class StoredLedger(Ledger, LatestPages, Protocol):
    """A ledger whose latest values outlive the process."""


class StoredHotReadings(HotReadings, LatestPages, Protocol):
    """Hot readings beside the latest values of a ledger."""
