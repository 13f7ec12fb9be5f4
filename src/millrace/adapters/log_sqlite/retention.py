"""Which batches retention removes next: a few at a time, so that appends get their turn.

Oldest first over all partitions; within a partition from its beginning, without a hole.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import apsw

from millrace.adapters.log_sqlite.tables import OFFSET_MASK, Mark, stretch, whole

SLICE_BATCHES = 64

_OLDEST = (
    "SELECT position, messages, received_max, received_high, bytes_through FROM batches"
    " WHERE position BETWEEN ? AND ? ORDER BY position LIMIT ?"
)
_DELETE = "DELETE FROM batches WHERE position BETWEEN ? AND ?"
_MOVE = "UPDATE starts SET start = ?, received_high = ?, bytes_through = ? WHERE partition = ?"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is too old, what is too much, and what has to stay. Units: UTC nanoseconds, bytes."""

    before_ns: int | None
    max_bytes: int | None
    keep: Sequence[int]


@dataclass(slots=True)
class Slice:
    """What one transaction removes: the beginnings that partitions move on to."""

    starts: dict[int, Mark] = field(default_factory=dict)
    messages: int = 0


@dataclass(frozen=True, slots=True, order=True)
class _Batch:
    age: int
    partition: int
    messages: int
    received_max: int
    size_bytes: int
    end: Mark


def next_slice(
    connection: apsw.Connection, starts: Sequence[Mark], total_bytes: int, limits: Limits
) -> Slice:
    """Return what to remove next; nothing when all is within the limits."""
    chosen = Slice()
    held: set[int] = set()
    spare = total_bytes - limits.max_bytes if limits.max_bytes is not None else 0
    queues = [_oldest(connection, number, start) for number, start in enumerate(starts)]
    taken = 0
    for batch in heapq.merge(*queues):
        is_old = limits.before_ns is not None and batch.received_max < limits.before_ns
        is_free = batch.end.offset <= limits.keep[batch.partition]
        if batch.partition in held or not is_free or not (is_old or spare > 0):
            held.add(batch.partition)
            continue
        chosen.starts[batch.partition] = batch.end
        chosen.messages += batch.messages
        spare -= batch.size_bytes
        taken += 1
        if taken == SLICE_BATCHES:
            break
    return chosen


def remove(connection: apsw.Connection, chosen: Slice) -> None:
    """Delete a slice; part of a transaction."""
    for partition, start in chosen.starts.items():
        low, _ = stretch(partition)
        connection.execute(_DELETE, (low, low + start.offset - 1))
        connection.execute(_MOVE, (*start, partition))


def _oldest(connection: apsw.Connection, partition: int, start: Mark) -> Iterator[_Batch]:
    cursor = connection.execute(_OLDEST, (*stretch(partition), SLICE_BATCHES))
    rows = [whole(row) for row in cursor]
    through = [start.bytes_through, *(row[4] for row in rows)]
    sizes = [after - before for before, after in pairwise(through)]
    ages = accumulate((row[2] for row in rows), max)
    for row, size, age in zip(rows, sizes, ages, strict=True):
        end = Mark((row[0] & OFFSET_MASK) + row[1], row[3], row[4])
        yield _Batch(age, partition, row[1], row[2], size, end)
