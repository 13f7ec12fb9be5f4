"""Sealed history as a Delta Lake table: append, merge, retire, tidy up.

Each step writes files first, makes them durable, and then swaps them in by one commit; a crash
between leaves files that no commit names, which the next tidy-up removes.
Source: D-30; F4.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import structlog

from millrace.adapters.series_delta.engine import MISTAKES, open_engine
from millrace.adapters.series_delta.files import (
    DAY_US,
    Columns,
    DataFile,
    Place,
    Run,
    folder_of,
    write_file,
)
from millrace.adapters.series_delta.merging import merge_files, plan_merges
from millrace.adapters.series_delta.sorting import sorted_day
from millrace.adapters.series_delta.storage import Storage, storage_of
from millrace.adapters.series_delta.table import SealedTable, create_table
from millrace.errors import RetryError, StopError
from millrace.flow.crashpoints import crashpoint

_log = structlog.get_logger("millrace.series")

GRACE_NS = 60_000_000_000


class DeltaSeries:
    """The writing end. See `ports.series.SeriesWriter`.

    A store that is away at first is tried again at each call.
    """

    def __init__(
        self,
        place: Path | Storage,
        *,
        shard: str = "ledger-0",
        now_ns: Callable[[], int] = time.time_ns,
        memory_bytes: int = 1 << 30,
    ) -> None:
        self._storage = storage_of(place)
        self._shard = shard
        self._now_ns = now_ns
        self._name = secrets.token_hex(4)
        self._opened: SealedTable | None = None
        with suppress(RetryError):
            self._opened = create_table(self._storage, shard)
        self._engine = open_engine(memory_bytes, threads=2)
        self._unlisted: dict[str, int] = {}
        self._listed_ns = -(2**62)

    @property
    def _table(self) -> SealedTable:
        if self._opened is None:
            self._opened = create_table(self._storage, self._shard)
        return self._opened

    def sealed_through(self) -> int:
        return self._table.sealed_through

    def seal(self, rows: pa.Table, last_batch_id: int) -> None:
        if last_batch_id <= self._table.sealed_through:
            return
        run, now_ms = Run(last_batch_id, 0), self._now_ms()
        with self._storing():
            files = [
                write_file(self._place(run, day, now_ms), 0, [part.table()])
                for day, part in split_days(rows)
            ]
            self._storage.keep(files)
        crashpoint("seal_before_commit")
        self._table.commit(files, [], now_ms=now_ms, batch_id=last_batch_id)

    def compact(self, now_ns: int) -> int:
        replaced, now_ms = 0, now_ns // 1_000_000
        self._table.update()
        for merge in plan_merges(self._table.files, now_ms):
            if sum(file.size_bytes for file in merge.files) > self._storage.held_bytes:
                # Answers are the same without it, and no room would be left for them.
                _log.warning("merge_is_larger_than_the_copies", date=folder_of(merge.day))
                continue
            with self._storing(merge.files), self._storage.held(merge.files):
                place = self._place(merge.run, merge.day, now_ms)
                files = merge_files(place, merge.files, self._engine)
                self._storage.keep(files)
            crashpoint("compact_before_commit")
            self._table.commit(files, merge.files, now_ms=now_ms, changes_rows=False)
            self._left(merge.files, now_ns)
            replaced += len(merge.files)
        return replaced

    def retire(self, before_ns: int) -> int:
        before_day = before_ns // (DAY_US * 1000)
        old = [file for file in self._table.files if file.day < before_day]
        if old:
            self._table.commit([], old, now_ms=self._now_ms())
            self._left(old, self._now_ns())
        return len({file.day for file in old})

    def vacuum(self, now_ns: int) -> int:
        self._table.update()
        self._table.checkpoint()
        stored = set(self._unlisted)
        if now_ns - self._listed_ns >= self._storage.list_every_s * 1e9:
            stored, self._listed_ns = self._storage.stored(), now_ns
        unlisted = stored - {file.path for file in self._table.files}
        first_seen = {path: min(now_ns, self._unlisted.get(path, now_ns)) for path in unlisted}
        doomed = [path for path, seen in first_seen.items() if now_ns - seen >= GRACE_NS]
        self._storage.remove(doomed)
        for path in doomed:
            del first_seen[path]
        self._unlisted = first_seen
        return len(doomed)

    def close(self) -> None:
        """Release the engine; a second call does nothing."""
        self._engine.close()

    def files(self) -> tuple[DataFile, ...]:
        """Return the files of the table, oldest date first."""
        return self._table.files

    def _place(self, run: Run, day: int, now_ms: int) -> Place:
        return Place(self._storage.root, run, day, self._name, now_ms)

    def _left(self, files: Sequence[DataFile], now_ns: int) -> None:
        self._unlisted.update((file.path, now_ns) for file in files)

    def _now_ms(self) -> int:
        return self._now_ns() // 1_000_000

    @contextmanager
    def _storing(self, sources: Sequence[DataFile] = ()) -> Iterator[None]:
        """Turn what goes wrong while files are read and written into what the caller must do.

        A source may vanish while it is read: others of this machine make room for their copies.
        """
        try:
            yield
        except (OSError, duckdb.OutOfMemoryException) as error:
            raise RetryError(f"{self._storage.uri}: {error}") from error
        except MISTAKES:
            raise
        except (duckdb.Error, pa.ArrowException) as error:
            gone = [file.path for file in sources if not (self._storage.root / file.path).exists()]
            if gone:
                raise RetryError(f"{self._storage.uri}: {gone[0]} has gone meanwhile") from error
            raise StopError(
                f"{self._storage.uri}: a sealed file cannot be read: {error}",
                "restore the file from a backup",
            ) from error


def split_days(rows: pa.Table) -> Iterator[tuple[int, Columns]]:
    """Yield the readings of each UTC date, sorted, without those that later ones replace.

    Shape: READING_SCHEMA in, instants cut to microseconds.
    """
    if not len(rows):
        return
    columns = [rows.column(name).to_numpy() for name in rows.schema.names]
    series, time_ns, value, flags, attr = columns[:5]
    everything = Columns(series, np.floor_divide(time_ns, 1000), value, flags, attr)
    first, last = everything.time_us.min() // DAY_US, everything.time_us.max() // DAY_US
    if first == last:
        # As nearly always; what is not copied is not held twice while files are written.
        yield int(first), sorted_day(everything)
        return
    days = np.floor_divide(everything.time_us, DAY_US)
    for day in np.unique(days):
        yield int(day), sorted_day(everything.take(days == day))
