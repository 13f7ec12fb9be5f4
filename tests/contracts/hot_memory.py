"""Hot batches in memory, and an oracle of what all readings together must be.

The oracle is a dictionary: what was committed last for a series and instant is what there is.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from millrace.flow.hot_frame import seal_hot
from millrace.model.work import Readings
from millrace.ports.ledger import HotBatch
from millrace.ports.series import READING_SCHEMA, Span

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
START_NS = 1_772_323_200 * SECOND_NS  # 2026-03-01T00:00:00Z
ALWAYS = Span(-(2**62), 2**62)

Row = tuple[int, int, float, int, int]


def readings(rows: Sequence[Row]) -> Readings:
    """Return rows (series, time_ns, value, flags, attr) as the ledger gets them."""
    series, times, values, flags, attrs = zip(*rows, strict=True) if rows else ((),) * 5
    times_ns = np.array(times, np.int64)
    return Readings(
        series=np.array(series, np.int64),
        attr=np.array(attrs, np.int64),
        time_ns=times_ns,
        value=np.array(values, np.float64),
        flags=np.array(flags, np.int16),
        received_at_ns=times_ns,
        position=np.arange(len(rows), dtype=np.int64),
    )


def table(rows: Sequence[Row]) -> pa.Table:
    """Return rows as a table of readings."""
    columns = zip(*rows, strict=True) if rows else ((),) * 5
    arrays = [pa.array(list(column), one.type) for column, one in zip(
        columns, READING_SCHEMA, strict=True)]  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=READING_SCHEMA)


def rows_of(answer: pa.Table) -> list[Row]:
    """Return an answer as rows."""
    return [tuple(row.values()) for row in answer.to_pylist()]


@dataclass
class MemoryHot:
    """See `ports.ledger.HotReadings`; `commit` is what the pump does.

    Batches from `held_from` on are not forgotten, as a ledger may need them for its latest values.
    """

    batches: list[HotBatch] = field(default_factory=list)
    newest: int = 0
    held_from: int | None = None

    def commit(self, rows: Sequence[Row], committed_at_ns: int = START_NS) -> int:
        self.newest += 1
        frame = seal_hot(readings(rows))
        self.batches.append(HotBatch(self.newest, committed_at_ns, len(rows), frame))
        return self.newest

    def hot(self, after_id: int, limit: int = 1000) -> list[HotBatch]:
        return [batch for batch in self.batches if batch.id > after_id][:limit]

    def forget_hot(self, up_to_id: int) -> int:
        if self.held_from is not None:
            up_to_id = min(up_to_id, self.held_from - 1)
        stays = [batch for batch in self.batches if batch.id > up_to_id]
        gone = len(self.batches) - len(stays)
        self.batches = stays
        return gone

    def close(self) -> None:
        pass


class Oracle:
    """What all readings together are."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, int], Row] = {}

    def commit(self, rows: Iterable[Row]) -> None:
        for series, time_ns, value, flags, attr in rows:
            time_us = time_ns // 1000
            self._rows[series, time_us] = (series, time_us * 1000, value, flags, attr)

    def select(self, ids: Iterable[int], span: Span = ALWAYS) -> list[Row]:
        wanted = set(ids)
        return sorted(
            row
            for row in self._rows.values()
            if row[0] in wanted and span.start_ns <= row[1] < span.stop_ns
        )

    def raw(self, ids: Iterable[int], span: Span, *, descending: bool = False) -> list[Row]:
        rows = self.select(ids, span)
        return sorted(rows, key=lambda row: (row[1], row[0]), reverse=descending)

    def latest(self, ids: Iterable[int]) -> list[Row]:
        newest: dict[int, Row] = {}
        for row in self.select(ids):
            newest[row[0]] = row
        return [newest[one] for one in sorted(newest)]

    def retire(self, before_ns: int) -> None:
        self._rows = {key: row for key, row in self._rows.items() if row[1] >= before_ns}


def aggregate(rows: Sequence[Row]) -> dict[str, float]:
    """Return every aggregate of the rows of one window, computed the plain way."""
    values = [row[2] for row in sorted(rows, key=lambda row: row[1])]
    mean = math.fsum(values) / len(values)
    return {
        "mean": mean,
        "min": min(values),
        "max": max(values),
        "sum": math.fsum(values),
        "count": len(values),
        "first": values[0],
        "last": values[-1],
        "stddev": math.sqrt(math.fsum((one - mean) ** 2 for one in values) / len(values)),
        "p50": float(np.quantile(values, 0.5)),
        "p95": float(np.quantile(values, 0.95)),
        "p99": float(np.quantile(values, 0.99)),
    }
