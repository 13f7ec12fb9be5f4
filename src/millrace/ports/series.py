"""Sealed history and queries over all readings, hot and sealed.

Tables are Arrow: `series_id` int64, `time_ns` int64 (UTC nanoseconds), `value` float64, `flags`
int16, `attr_id` int64.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

READING_SCHEMA = pa.schema(
    [
        pa.field("series_id", pa.int64(), nullable=False),
        pa.field("time_ns", pa.int64(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("flags", pa.int16(), nullable=False),
        pa.field("attr_id", pa.int64(), nullable=False),
    ]
)

AGGREGATES = (
    "mean", "min", "max", "sum", "count", "first", "last", "stddev", "p50", "p95", "p99",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch of time in UTC nanoseconds: `start_ns` <= t < `stop_ns`."""

    start_ns: int
    stop_ns: int


@dataclass(frozen=True, slots=True)
class Every:
    """Width of an aggregate window: `count` of `unit` s, m, h, d or w, aligned in `time_zone`."""

    count: int
    unit: str
    time_zone: str = "UTC"


class SeriesWriter(Protocol):
    """Sealed history. One process at a time."""

    def sealed_through(self) -> int:
        """Return the id of the last hot batch that is sealed, 0 at first (D-30)."""
        ...

    def seal(self, rows: pa.Table, last_batch_id: int) -> None:
        """Append readings (READING_SCHEMA, later rows win) as one commit naming the batch id.

        Idempotent: a `last_batch_id` that is already in changes nothing.
        """
        ...

    def compact(self, now_ns: int) -> int:
        """Merge small and late files; return the number of files replaced."""
        ...

    def retire(self, before_ns: int) -> int:
        """Delete whole days before an instant; return the number of days deleted."""
        ...

    def vacuum(self, now_ns: int) -> int:
        """Remove files that no reader can see any more; return how many."""
        ...


class SeriesQuery(Protocol):
    """Questions over hot and sealed readings together; each call sees one consistent view."""

    def raw(
        self,
        series_ids: Sequence[int],
        span: Span,
        *,
        limit: int,
        descending: bool = False,
        after: tuple[int, int] | None = None,
    ) -> pa.Table:
        """Return readings ordered by (time, series id); the last write wins on (series, time).

        `after` is the (time_ns, series_id) of the last row of the page before.
        """
        ...

    def aggregate(
        self,
        series_ids: Sequence[int],
        span: Span,
        every: Every,
        functions: Sequence[str],
        *,
        limit: int,
    ) -> pa.Table:
        """Return one row per series and window, ordered by (series, time).

        Shape: `series_id`, `time_ns` (window start) and a column per function.

        Raises:
            RejectError: `too_many_points`; more than `limit` windows would be returned.
        """
        ...

    def latest(self, series_ids: Sequence[int] | None = None) -> pa.Table:
        """Return the newest reading (by time) of each series, or of all."""
        ...

    def summary(self, series_ids: Sequence[int]) -> pa.Table:
        """Return `series_id`, `first_ns`, `last_ns`, `count` of each series that has readings."""
        ...

    def export(self, series_ids: Sequence[int], span: Span) -> Iterator[pa.RecordBatch]:
        """Yield all readings ordered by (position of the id in `series_ids`, time), each once.

        What is committed after the first batch may be in, or not.
        """
        ...

    def refresh(self) -> int:
        """Take in what was committed since the last call; return the id of the newest batch."""
        ...
