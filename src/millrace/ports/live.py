"""The live channel: what was committed a moment ago, for those who follow it.

`Live` is the ring that fan-out replays from; with Redis it is a stream that several serve
processes share. `LiveRows` is the reading end of the ledger for rows that are followed by id.
Source: D-33, API-100, API-132, API-133.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from millrace.ports.ledger import HotBatch
from millrace.ports.registry import EventView, SeriesRow


@dataclass(frozen=True, slots=True)
class SequenceSummary:
    """The sequence numbers of one device, as of two seconds ago (REG-035).

    `last_seq` is -1 before the first; `updated_at` is text as REG-007 stores it; `missing` can
    still be filled, in ascending order.
    """

    last_seq: int
    epoch: int
    gap_count: int
    duplicates: int
    resets: int
    updated_at: str
    missing: tuple[int, ...] = ()


class Live(Protocol):
    """The batches of the last minute, by commit id. Thread-confined.

    Whoever follows the ledger can do without it, so it may forget at any time, as long as it says
    so: what `since` returns has no gaps.
    """

    def publish(self, batch: HotBatch, after_id: int) -> None:
        """Take in the batch that follows batch `after_id` in the ledger.

        What is too old or too much falls out at the other end.
        Idempotent: yes; a batch that is there already is ignored, and so is an older one.
        Raises:
            RetryError: The ring is away; the batch may be missing in it.
        """
        ...

    def since(self, after_id: int, limit: int = 1000) -> list[HotBatch]:
        """Return the batches that follow batch `after_id`, ascending and without a gap.

        None means that there is nothing yet, or nothing any more: the ledger knows.
        Raises:
            GoneError: The next batch has fallen out, or never came in.
            RetryError: The ring is away.
        """
        ...

    def leads(self) -> bool:
        """Return whether this process should read the ledger for all that share the ring.

        A hint: none or several may lead for a moment, and one that is alone always does.
        """
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


class LiveRows(Protocol):
    """Rows of the ledger in the order of their ids, which only grow. Thread-confined."""

    def events_after(self, event_id: int, limit: int = 1000) -> list[EventView]:
        """Return events with an id above `event_id`, ascending."""
        ...

    def newest_event(self) -> int:
        """Return the id of the newest event, 0 when there is none."""
        ...

    def series_after(self, series_id: int, limit: int = 10_000) -> list[SeriesRow]:
        """Return series with an id above `series_id`, ascending."""
        ...

    def device_counts(self) -> Mapping[str, int]:
        """Return the number of devices by `status` (API-100)."""
        ...

    def sequence(self, device_id: str) -> SequenceSummary | None:
        """Return the sequence numbers of a device, None when it numbers nothing (API-069)."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...
