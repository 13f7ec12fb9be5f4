"""The reading end of the log in SQLite: a read-only connection at a position of its own.

A stretch of the log that cannot be trusted is never passed over in silence: a missing row, a row
that is not what its frame says, a frame whose checksum fails, all raise StopError with partition
and offsets. What lies before it is returned, and `next_readable` says where what follows begins.
"""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from millrace.adapters.log_sqlite import files, tables
from millrace.adapters.log_sqlite.faults import SQLITE_ERRORS, is_damage, translate
from millrace.adapters.log_sqlite.opening import open_reader
from millrace.adapters.log_sqlite.tables import OFFSET_MASK
from millrace.engine.frames import Columns, CorruptFrameError, plain_size_bytes, unseal
from millrace.errors import GoneError, StopError
from millrace.model.message import RawBatch
from millrace.ports.log import Extent

_REMEDY = "restore the folder from a backup, or skip the damaged messages with millrace doctor"
_FROM = (
    "SELECT position, messages, frame FROM batches WHERE position BETWEEN coalesce("
    "(SELECT max(position) FROM batches WHERE position BETWEEN ?1 AND ?2), ?2) AND ?3"
    " AND position + messages > ?2 ORDER BY position"
)
_Stored = tuple[int, int, bytes]

# A read ends behind the batch that comes to so much, so that a backlog of large messages, which
# may be tiny when compressed, is never opened as a whole (P10).
_ENOUGH_BYTES = 8 << 20


class SqliteLogReader:
    """Reads a log that another process, or this one, writes; `ports.log.LogReader`.

    Opening raises RetryError while there is no log yet.
    """

    def __init__(self, folder: Path) -> None:
        files.check_no_links(folder)
        self._connection, self._partitions = open_reader(folder)
        self._is_open = True
        marks = files.read_marks(folder, self._partitions)
        try:
            files.check_marks(marks, [extent.end for extent in self.extents()])
        except StopError:
            self.close()
            raise

    @property
    def partitions(self) -> int:
        return self._partitions

    def read(self, partition: int, offset: int, max_messages: int) -> RawBatch | None:
        with self._translated(f"reading partition {partition} from offset {offset}"):
            rows = self._rows(partition, offset, max_messages)
            if rows and rows[0][0] <= offset:
                return _joined(partition, offset, rows)
            if not rows and tables.end_of(self._connection, partition).offset == offset:
                return None
            # Between two questions the log may have moved, so they are asked of one snapshot.
            with tables.snapshot(self._connection):
                rows = self._rows(partition, offset, max_messages)
                if not rows or rows[0][0] > offset:
                    self._nothing(partition, offset, rows)
                    return None
            return _joined(partition, offset, rows)

    def extents(self) -> list[Extent]:
        with self._translated("reading its extents"):
            return tables.extents_of(self._connection, self._partitions)

    def appended(self) -> int:
        return sum(extent.end for extent in self.extents())

    def notes(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        with self._translated("reading notes"):
            return tables.notes_of(self._connection, prefix)

    def offset_at(self, partition: int, received_at_ns: int) -> int:
        connection = self._connection
        with self._translated("looking for an instant"), tables.snapshot(connection):
            low = tables.start_of(connection, partition).offset
            high = tables.end_of(connection, partition).offset
            while low < high:
                middle = (low + high) // 2
                found = tables.last_before(connection, partition, middle)
                if found is None:
                    low = middle + 1
                elif found[1].received_high >= received_at_ns:
                    high = max(low, found[0])
                else:
                    low = max(found[1].offset, middle + 1)
            return low

    def next_readable(self, partition: int, offset: int) -> int:
        """Return the first offset behind `offset` at which a message can be read.

        For whoever has decided to go on without damaged messages. The end of the partition when
        nothing behind them can be read.
        Raises:
            StopError: Not even the end can be read.
        """
        end = self.extents()[partition].end
        at = offset + 1
        while at < end:
            row = self._row_at(partition, at)
            if row and _is_whole(partition, row):
                return max(at, row[0])
            at += 1
            if not self._is_reachable(partition, at):
                behind = range(at, end)
                at += bisect_left(behind, 1, key=partial(self._is_reachable, partition))
            with self._translated("skipping damage"):
                at = tables.first_from(self._connection, partition, at) or end
        return end

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._connection.close()

    def _rows(self, partition: int, offset: int, max_messages: int) -> list[_Stored]:
        """Return the stored batches from the one that holds `offset`, as many as are wanted."""
        low, high = tables.stretch(partition)
        wanted, taken = offset + max_messages, 0
        rows: list[_Stored] = []
        cursor = self._connection.execute(_FROM, (low, tables.key(partition, offset), high))
        try:
            for row in cursor:
                rows.append(_stored(*row))
                taken += plain_size_bytes(rows[-1][2])
                if rows[-1][0] + rows[-1][1] >= wanted or taken >= _ENOUGH_BYTES:
                    break
        except SQLITE_ERRORS as error:
            if not rows or not is_damage(error):
                raise
        finally:
            cursor.close(force=True)  # an open one would pin the write-ahead log
        return rows

    def _row_at(self, partition: int, offset: int) -> _Stored | None:
        """Return the first row that ends behind `offset`, None when it cannot be read."""
        try:
            rows = self._rows(partition, offset, 1)
        except SQLITE_ERRORS as error:
            if not is_damage(error):
                raise translate(error, self._connection, "skipping damage") from error
            return None
        return rows[0] if rows else None

    def _is_reachable(self, partition: int, offset: int) -> int:
        try:
            tables.first_from(self._connection, partition, offset)
        except SQLITE_ERRORS:
            return 0
        return 1

    def _nothing(self, partition: int, offset: int, rows: list[_Stored]) -> None:
        """Raise the reason why there is no message at `offset`; return when it is the end."""
        start = tables.start_of(self._connection, partition).offset
        end = tables.end_of(self._connection, partition).offset
        first = tables.first_from(self._connection, partition, 0)
        if offset < start and first in {None, start}:
            raise GoneError(
                f"partition {partition} begins at offset {start}; {offset} was removed by retention"
            )
        if offset > end:
            raise StopError(
                f"partition {partition} ends at offset {end}, before {offset}: messages are lost, "
                "or this is another log",
                _REMEDY,
            )
        if offset < end:
            raise _damage(partition, offset, (rows[0][0] if rows else end) - 1, "they are missing")

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except SQLITE_ERRORS as error:
            raise translate(error, self._connection, doing) from error


def _stored(position: int, messages: object, frame: object) -> _Stored:
    """Return a row; what is not of the right type becomes a frame that nobody can open."""
    first = position & OFFSET_MASK
    if isinstance(messages, int) and isinstance(frame, bytes):
        return first, messages, frame
    return first, 1, b""


def _joined(partition: int, offset: int, rows: list[_Stored]) -> RawBatch:
    """Return the messages from `offset` on, up to the first row that cannot be trusted."""
    columns = _opened(partition, rows[0])
    cut = offset - rows[0][0]
    batch = RawBatch(
        partition,
        offset,
        list(columns.topics[cut:]),
        list(columns.payloads[cut:]),
        list(columns.received_at_ns[cut:]),
        list(columns.flags[cut:]),
        list(columns.client_ids[cut:]),
        list(columns.packet_ids[cut:]),
        {index - cut: body for index, body in columns.extras.items() if index >= cut},
    )
    for row in rows[1:]:
        if row[0] != batch.next_offset:
            break
        try:
            columns = _opened(partition, row)
        except StopError:
            break  # said by the next read, which begins here
        _extend(batch, columns)
    return batch


def _extend(batch: RawBatch, columns: Columns) -> None:
    count = len(batch)
    if columns.extras:
        batch.extras.update((count + index, body) for index, body in columns.extras.items())
    batch.topics.extend(columns.topics)
    batch.payloads.extend(columns.payloads)
    batch.received_at_ns.extend(columns.received_at_ns)
    batch.flags.extend(columns.flags)
    batch.client_ids.extend(columns.client_ids)
    batch.packet_ids.extend(columns.packet_ids)


def _opened(partition: int, row: _Stored) -> Columns:
    first, messages, frame = row
    try:
        where, columns = unseal(frame)
    except CorruptFrameError as error:
        raise _damage(partition, first, first + messages - 1, str(error)) from error
    if where != (partition, first, messages):
        raise _damage(partition, first, first + messages - 1, "their frame is of another place")
    return columns


def _is_whole(partition: int, row: _Stored) -> bool:
    try:
        _opened(partition, row)
    except StopError:
        return False
    return True


def _damage(partition: int, first: int, last: int, why: str) -> StopError:
    return StopError(
        f"the log is damaged: partition {partition}, offsets {first} to {last}: {why}", _REMEDY
    )
