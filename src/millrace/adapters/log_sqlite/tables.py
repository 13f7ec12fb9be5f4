"""The tables of the log and the statements on them.

`position` is partition << 48 | offset, so a partition is one stretch of the primary key and a
batch lies where it is read. `received_high` is the greatest instant of receipt in the partition up
to this batch: it never falls, so an instant is found by bisection. `bytes_through` counts the
bytes of the partition's frames from its beginning, so a size is one subtraction. `starts` holds
what retention has moved on to, and what an emptied partition goes on from. A note carries its own
checksum; a frame carries one as well.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import apsw

from millrace.errors import StopError
from millrace.ports.log import Extent

FORMAT = "1"
OFFSET_BITS = 48
OFFSET_MASK = (1 << OFFSET_BITS) - 1
BUSY_TIMEOUT_MS = 5000

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE batches (
    position INTEGER PRIMARY KEY,
    messages INTEGER NOT NULL,
    received_max INTEGER NOT NULL,
    received_high INTEGER NOT NULL,
    bytes_through INTEGER NOT NULL,
    frame BLOB NOT NULL
);
CREATE TABLE starts (
    partition INTEGER PRIMARY KEY,
    start INTEGER NOT NULL,
    received_high INTEGER NOT NULL,
    bytes_through INTEGER NOT NULL
);
CREATE TABLE notes (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""

INSERT_BATCH = "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)"
PUT_NOTE = "INSERT OR REPLACE INTO notes VALUES (?, ?)"
DELETE_NOTE = "DELETE FROM notes WHERE key = ?"
_LAST = (
    "SELECT position, messages, received_high, bytes_through FROM batches"
    " WHERE position BETWEEN ? AND ? ORDER BY position DESC LIMIT 1"
)
_FIRST = "SELECT position FROM batches WHERE position BETWEEN ? AND ? ORDER BY position LIMIT 1"
_START = "SELECT start, received_high, bytes_through FROM starts WHERE partition = ?"


class Mark(NamedTuple):
    """A boundary of a partition: an offset, and what the columns had come to there."""

    offset: int
    received_high: int
    bytes_through: int


def key(partition: int, offset: int) -> int:
    """Return the primary key of a position."""
    return partition << OFFSET_BITS | offset


def stretch(partition: int) -> tuple[int, int]:
    """Return the smallest and the greatest key of a partition."""
    return key(partition, 0), key(partition, OFFSET_MASK)


@contextmanager
def snapshot(connection: apsw.Connection) -> Iterator[None]:
    """Read several times from one and the same state."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # an I/O error may have ended it
            connection.execute("ROLLBACK")


def start_of(connection: apsw.Connection, partition: int) -> Mark:
    """Return where a partition begins."""
    row = connection.execute(_START, (partition,)).fetchone()
    if row is None:
        raise StopError("the log is damaged: a row of table starts is missing")
    return Mark(*whole(row))


def end_of(connection: apsw.Connection, partition: int) -> Mark:
    """Return where a partition ends."""
    row = last_before(connection, partition, OFFSET_MASK)
    return row[1] if row else start_of(connection, partition)


def last_before(
    connection: apsw.Connection, partition: int, offset: int
) -> tuple[int, Mark] | None:
    """Return the first offset and the end of the last batch that begins at or before `offset`."""
    low, high = key(partition, 0), key(partition, offset)
    row = connection.execute(_LAST, (low, high)).fetchone()
    if row is None:
        return None
    position, messages, received_high, bytes_through = whole(row)
    first = position & OFFSET_MASK
    return first, Mark(first + messages, received_high, bytes_through)


def first_from(connection: apsw.Connection, partition: int, offset: int) -> int | None:
    """Return the first offset of the first batch that begins at or after `offset`."""
    low, high = key(partition, offset), key(partition, OFFSET_MASK)
    row = connection.execute(_FIRST, (low, high)).fetchone()
    return None if row is None else whole(row)[0] & OFFSET_MASK


def whole(row: Sequence[object]) -> list[int]:
    """Return the columns of a row; a damaged file may hold anything in place of a number."""
    numbers = [value for value in row if isinstance(value, int)]
    if len(numbers) != len(row):
        raise apsw.CorruptError("a column does not hold a number")
    return numbers


def extents_of(connection: apsw.Connection, partitions: int) -> list[Extent]:
    """Return what each partition holds, as of one moment."""
    with snapshot(connection):
        return [
            Extent(start_of(connection, number).offset, end_of(connection, number).offset)
            for number in range(partitions)
        ]


def notes_of(connection: apsw.Connection, prefix: bytes) -> list[tuple[bytes, bytes]]:
    """Return the notes whose key begins with `prefix`, in key order."""
    sql, bindings = "SELECT key, value FROM notes", [prefix]
    stem = prefix.rstrip(b"\xff")
    if stem:
        sql += " WHERE key >= ? AND key < ?"
        bindings.append(stem[:-1] + bytes((stem[-1] + 1,)))
    elif prefix:
        sql += " WHERE key >= ?"
    rows = connection.execute(sql + " ORDER BY key", bindings if prefix else ()).fetchall()
    return [open_note(name, value) for name, value in rows]


def seal_note(name: bytes, value: bytes) -> bytes:
    """Return a note as it is stored: with a checksum over key and value behind it."""
    return value + zlib.crc32(value, zlib.crc32(name)).to_bytes(4, "little")


def open_note(name: object, stored: object) -> tuple[bytes, bytes]:
    """Return a stored note. Raises: StopError when it is damaged."""
    if not isinstance(name, bytes) or not isinstance(stored, bytes):
        raise apsw.CorruptError("a note does not hold bytes")
    value = stored[:-4]
    if seal_note(name, value) != stored:
        raise StopError(
            f"the log is damaged: the note with key {name[:32].hex()} is not what was stored",
            "restore the folder from a backup",
        )
    return name, value
