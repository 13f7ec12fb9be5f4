"""The writing end of the log in SQLite.

An append seals each batch into a frame, and stores frames and notes in one transaction that has
been synced when it returns. Ends are kept in memory: there is one writer, and its lock says so.
After a failure of the disk every call raises the same StopError.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import apsw

from millrace.adapters.log_sqlite import files, retention, tables
from millrace.adapters.log_sqlite.checkpoints import Checkpointer
from millrace.adapters.log_sqlite.faults import SQLITE_ERRORS, translate
from millrace.adapters.log_sqlite.opening import open_writer
from millrace.adapters.log_sqlite.tables import Mark
from millrace.engine.frames import Columns, seal
from millrace.errors import StopError
from millrace.flow.crashpoints import crashpoint
from millrace.model.message import RawBatch
from millrace.ports.log import Extent, Note

_PAGES_GIVEN_BACK = 256
_Row = tuple[int, int, int, int, int, bytes]


class SqliteLog:
    """A log in a folder of its own; `ports.log.Log` has the contract.

    `wal_limit_bytes` is where a checkpoint begins; the write-ahead log grows a little beyond.
    `spare_bytes` of removed messages stay in the file to be filled again; more is given back.
    Opening raises UsageError, StopError, or RetryError when no space is left to open it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        partitions: int = 4,
        stream: str = "raw",
        wal_limit_bytes: int = 8 << 20,
        spare_bytes: int = 64 << 20,
    ) -> None:
        files.check_no_links(folder)
        files.make_folder(folder)
        self._lock = threading.Lock()
        self._failure: StopError | None = None
        self._is_open = True
        with ExitStack() as opened:
            self._folder_lock = files.FolderLock(folder)
            opened.callback(self._folder_lock.release)
            self._connection = open_writer(folder, partitions, stream)
            opened.callback(self._connection.close)
            self._starts, self._ends = self._boundaries(partitions)
            files.check_marks(files.read_marks(folder, partitions), _offsets(self._ends))
            with self._translated("opening it"):
                # What a crash left behind may not have been synced yet, and readers will see it.
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._marks = files.Marks(folder, partitions)
            opened.callback(self._marks.close)
            self._marks.write(_offsets(self._ends))
            page_size = int(self._connection.pragma("page_size"))
            self._spare_pages = spare_bytes // page_size
            self._checkpointer = Checkpointer(
                folder / files.DATABASE, wal_limit_bytes // page_size, self._lock, self._fail
            )
            opened.callback(self._checkpointer.close)
            self._connection.set_wal_hook(self._on_commit)
            self._opened = opened.pop_all()

    @property
    def partitions(self) -> int:
        return len(self._ends)

    def append(self, batches: Sequence[RawBatch], notes: Sequence[Note] = ()) -> list[int]:
        crashpoint("log_before_append")
        with self._lock:
            ends = list(self._ends)
            firsts = [ends[batch.partition].offset for batch in batches]
            rows = [_row(batch, ends) for batch in batches if len(batch)]
            if len({batch.partition for batch in batches}) != len(batches):
                raise ValueError("an append takes at most one batch per partition")
            if rows or notes:
                with self._transaction("appending"):
                    self._connection.executemany(tables.INSERT_BATCH, rows)
                    self._put_notes(notes)
                    crashpoint("log_before_commit")
                crashpoint("log_after_commit")
                self._ends = ends
                self._marks.write(_offsets(ends))
        for batch, first in zip(batches, firsts, strict=True):
            batch.first_offset = first
        crashpoint("log_after_append")
        return firsts

    def unnoted(self) -> Sequence[RawBatch]:
        return ()

    def notes(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        with self._lock, self._translated("reading notes"):
            return tables.notes_of(self._connection, prefix)

    def extents(self) -> list[Extent]:
        with self._lock:
            return [
                Extent(start.offset, end.offset)
                for start, end in zip(self._starts, self._ends, strict=True)
            ]

    def retire(self, *, before_ns: int | None, max_bytes: int | None, keep: Sequence[int]) -> int:
        limits = retention.Limits(before_ns, max_bytes, keep)
        removed = 0
        while messages := self._retire_slice(limits):
            removed += messages
        while self._give_back():
            pass
        return removed

    def close(self) -> None:
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            with suppress(*SQLITE_ERRORS):  # a tidy folder, nothing more
                if self._failure is None:
                    self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._opened.close()

    def _boundaries(self, partitions: int) -> tuple[list[Mark], list[Mark]]:
        """Return starts and ends as the file has them, and see that each fits the other."""
        connection = self._connection
        with self._translated("opening it"):
            starts = [tables.start_of(connection, number) for number in range(partitions)]
            ends = [tables.end_of(connection, number) for number in range(partitions)]
            for number, start in enumerate(starts):
                first = tables.first_from(connection, number, 0)
                if first is not None and first != start.offset:
                    raise StopError(
                        f"the log is damaged: partition {number} begins at {first}, "
                        f"not at {start.offset}",
                        "restore the folder from a backup",
                    )
        return starts, ends

    def _put_notes(self, notes: Sequence[Note]) -> None:
        latest = {note.key: note.value for note in notes}
        stored = [(k, tables.seal_note(k, v)) for k, v in latest.items() if v is not None]
        self._connection.executemany(tables.PUT_NOTE, stored)
        deleted = [(k,) for k, v in latest.items() if v is None]
        self._connection.executemany(tables.DELETE_NOTE, deleted)

    def _retire_slice(self, limits: retention.Limits) -> int:
        with self._lock:
            pairs = zip(self._starts, self._ends, strict=True)
            total = sum(end.bytes_through - start.bytes_through for start, end in pairs)
            with self._transaction("removing old messages"):
                chosen = retention.next_slice(self._connection, self._starts, total, limits)
                retention.remove(self._connection, chosen)
            for partition, start in chosen.starts.items():
                self._starts[partition] = start
        return chosen.messages

    def _give_back(self) -> bool:
        """Shorten the file by a few free pages; return whether there may be more to do."""
        with self._lock, self._translated("giving space back"):
            free = int(self._connection.pragma("freelist_count"))
            kept = max(self._spare_pages, int(self._connection.pragma("page_count")) // 4)
            if free <= kept:
                return False
            count = min(_PAGES_GIVEN_BACK, free - kept)
            self._connection.execute(f"PRAGMA incremental_vacuum({count})").fetchall()
            return True

    def _on_commit(self, _connection: apsw.Connection, _name: str, wal_pages: int) -> int:
        self._checkpointer.grown(wal_pages)
        return apsw.SQLITE_OK

    def _fail(self, error: StopError) -> None:
        self._failure = error

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[None]:
        with self._translated(doing):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        if self._failure is not None:
            raise self._failure
        if not self._is_open:
            raise StopError("the log is closed")
        try:
            yield
        except SQLITE_ERRORS as error:
            named = translate(error, self._connection, doing)
            if isinstance(named, StopError):
                self._failure = named
            raise named from error


def _offsets(marks: Sequence[Mark]) -> list[int]:
    return [mark.offset for mark in marks]


def _row(batch: RawBatch, ends: list[Mark]) -> _Row:
    """Return the row of a batch, and move the end of its partition."""
    end = ends[batch.partition]
    columns = Columns(
        batch.topics,
        batch.payloads,
        batch.received_at_ns,
        batch.flags,
        batch.client_ids,
        batch.packet_ids,
        batch.extras,
    )
    frame = seal(columns, partition=batch.partition, first_offset=end.offset)
    received_max = max(batch.received_at_ns)
    received_high = max(received_max, end.received_high)
    through = end.bytes_through + len(frame)
    ends[batch.partition] = Mark(end.offset + len(batch), received_high, through)
    position = tables.key(batch.partition, end.offset)
    return position, len(batch), received_max, received_high, through, frame
