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
    """The sequence numbers of one device, as of the last snapshot (REG-035).

    `last_seq` is -1 before the first; `updated_at` is text as REG-007 stores it; `packed` is the
    window, which `decode.sequence` reads.
    """

    last_seq: int
    epoch: int
    gap_count: int
    duplicates: int
    resets: int
    updated_at: str
    packed: bytes | None = None


class Live(Protocol):
    """The batches of the last minute, by commit id. Used from one thread."""

    def publish(self, batch: HotBatch) -> None:
        """Take in the batch that follows; what is too old or too much falls out at the other end.

        Order: ids ascend; an id that was published before is ignored.
        """
        ...

    def since(self, after_id: int) -> list[HotBatch]:
        """Return all batches above an id, ascending.

        Raises:
            GoneError: A batch above that id may have fallen out.
        """
        ...

    def newest(self) -> int:
        """Return the id of the newest batch, 0 before the first."""
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
