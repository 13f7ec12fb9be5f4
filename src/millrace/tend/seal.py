"""Hot batches become sealed history, and only then are forgotten.

A seal is due by number of readings, by age, or by number of batches, and it ends at a batch, never
at an instant. The commit of the series names the last batch, so whatever step a crash interrupts,
the series say what is in: what is in is forgotten, what is not in is sealed again. Where readers of
the series look at them from time to time only, forgetting waits until all of them have looked.
Source: D-30; F4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from millrace.errors import StopError
from millrace.flow.crashpoints import crashpoint
from millrace.flow.hot_frame import open_hot
from millrace.ports.ledger import HotBatch, HotReadings
from millrace.ports.series import READING_SCHEMA, SeriesWriter

_FETCH = 500
# Forgetting shares the ledger with the pump; a slice is one short transaction (D-20).
_FORGET = 200
_ALL = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SealLimits:
    """When a seal is due, and when what is sealed goes. Units: rows, nanoseconds, batches."""

    rows: int = 500_000
    age_ns: int = 300_000_000_000
    batches: int = 3_000
    forget_after_ns: int = 0


class Sealer:
    """Moves hot batches into the series.

    `copied_through` returns the batch up to which every other reader of hot batches has come.
    """

    def __init__(
        self,
        hot: HotReadings,
        series: SeriesWriter,
        limits: SealLimits | None = None,
        copied_through: Callable[[], int] = lambda: _ALL,
    ) -> None:
        self._hot = hot
        self._copied_through = copied_through
        self._series = series
        self._limits = limits or SealLimits()
        self._waiting: list[HotBatch] = []
        self._rows = 0
        # When something was sealed, and up to which batch; what a start finds sealed comes first.
        self._sealed: list[tuple[int, int]] = []
        self._has_begun = False

    def run_once(self, now_ns: int, *, flush: bool = False) -> int:
        """Seal what is due, all there is when `flush`; return the number of readings sealed.

        Raises:
            RetryError: Ledger or series are away, or there is no space; call again.
            FencedError: Another process seals.
        """
        if not self._has_begun:
            self._sealed.append((now_ns, self._series.sealed_through()))
            self._has_begun = True
        self._forget_sealed(now_ns)
        sealed = 0
        while self._fetch() or self._waiting:
            if not (flush or self._is_due(now_ns)):
                break
            sealed += self._seal(now_ns)
        return sealed

    @property
    def waiting_rows(self) -> int:
        """Number of readings that are known and not sealed yet."""
        return self._rows

    def _fetch(self) -> bool:
        """Take in batches until the size of a seal is reached; return whether there were any."""
        has_any = False
        while not self._is_full():
            after = self._waiting[-1].id if self._waiting else self._series.sealed_through()
            batches = self._hot.hot(after, min(_FETCH, self._limits.batches))
            if not batches:
                break
            has_any = True
            self._waiting += batches
            self._rows += sum(batch.rows for batch in batches)
        return has_any

    def _is_full(self) -> bool:
        return self._rows >= self._limits.rows or len(self._waiting) >= self._limits.batches

    def _is_due(self, now_ns: int) -> bool:
        if self._is_full():
            return True
        return bool(self._waiting) and (
            now_ns - self._waiting[0].committed_at_ns >= self._limits.age_ns
        )

    def _seal(self, now_ns: int) -> int:
        rows, last = self._rows, self._waiting[-1].id
        self._series.seal(rows_of(self._waiting), last)
        self._waiting, self._rows = [], 0
        # Otherwise Arrow keeps what the largest seal took, beside what the pump needs.
        pa.default_memory_pool().release_unused()
        crashpoint("seal_after_commit")
        self._sealed.append((now_ns, last))
        self._forget_sealed(now_ns)
        return rows

    def _forget_sealed(self, now_ns: int) -> None:
        """Forget what has been sealed for long enough."""
        while self._sealed and now_ns - self._sealed[0][0] >= self._limits.forget_after_ns:
            if not self._forget(self._sealed[0][1]):
                return
            del self._sealed[0]

    def _forget(self, up_to_id: int) -> bool:
        """Forget slice by slice; return False when the ledger holds some of it back for now."""
        oldest, last = self._hot.hot(0, 1), min(up_to_id, self._copied_through())
        while oldest and oldest[0].id <= last:
            if not self._hot.forget_hot(min(oldest[0].id + _FORGET - 1, last)):
                return False
            crashpoint("seal_while_forgetting")
            oldest = self._hot.hot(0, 1)
        return last == up_to_id


def rows_of(batches: Sequence[HotBatch]) -> pa.Table:
    """Return the readings of batches in the order of their commits, each column in one piece.

    One batch is opened at a time: a seal holds its readings once, and not with all frames beside.
    Raises:
        StopError: A batch is damaged.
    """
    total = sum(batch.rows for batch in batches)
    columns = [np.empty(total, field.type.to_pandas_dtype()) for field in READING_SCHEMA]
    end = 0
    for batch in batches:
        frame = open_hot(batch.frame)
        if len(frame) != batch.rows:
            raise StopError(
                f"hot batch {batch.id} has {len(frame)} readings where {batch.rows} are counted",
                "restore the ledger from a backup, or replay the log",
            )
        start, end = end, end + len(frame)
        for column, name in zip(columns, READING_SCHEMA.names, strict=True):
            column[start:end] = frame.column(name).to_numpy()
    return pa.Table.from_arrays([pa.array(one) for one in columns], schema=READING_SCHEMA)
