"""How far the archive has come, and what it leaves out, in the SQLite store.

Positions are those of the reader `archive`; an intent is written before its objects, so a crash
between two of them is finished with the same keys.
Source: D-28, REG-041, MTR-134, MTR-135.
"""

from pathlib import Path
from typing import Final

from millrace.errors import FencedError
from millrace.ports.archive import Intent
from millrace.store.sqlite import open_store, reading
from millrace.store.transaction import transaction

READER: Final = "archive"


class SqliteArchiveProgress:
    """See `ports.archive.ArchivePositions` and `ports.archive.Outcomes`."""

    def __init__(self, path: Path, *, stream: str, decided_by: str = "process") -> None:
        self._db = open_store(path)
        self._stream = stream
        self._decided_by = decided_by

    def position(self, partition: int) -> int:
        return self._next_offset(READER, partition)

    def decided(self, partition: int) -> int:
        return self._next_offset(self._decided_by, partition)

    def not_stored(self, partition: int, first: int, last: int) -> set[int]:
        with reading(self._db):
            rows = self._db.execute(
                "SELECT log_offset FROM not_stored"
                " WHERE partition_no = ? AND log_offset BETWEEN ? AND ?",
                (partition, first, last),
            )
            return {int(offset) for (offset,) in rows}

    def intent(self, partition: int) -> Intent | None:
        with reading(self._db):
            row = self._db.execute(
                "SELECT partition_no, first_offset, last_offset, key FROM archive_intents"
                " WHERE partition_no = ?",
                (partition,),
            ).fetchone()
            return None if row is None else Intent(*row)

    def begin(self, intent: Intent) -> None:
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO archive_intents (partition_no, first_offset, last_offset, key)"
                " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (intent.partition, intent.first, intent.last, intent.key),
            )
            if self._db.changes() != 1:
                raise FencedError(
                    f"partition {intent.partition} is being archived already",
                    "let one process archive at a time",
                )

    def finish(self, intent: Intent) -> None:
        with transaction(self._db):
            self._db.execute(
                "DELETE FROM archive_intents WHERE partition_no = ? AND first_offset = ?"
                " AND last_offset = ? AND key = ?",
                (intent.partition, intent.first, intent.last, intent.key),
            )
            if self._db.changes() != 1:
                raise FencedError(
                    f"partition {intent.partition} was archived by somebody else",
                    "let one process archive at a time",
                )
            self._db.execute(
                "INSERT INTO positions (reader, stream, partition_no, next_offset)"
                " VALUES (?, ?, ?, ?) ON CONFLICT (reader, stream, partition_no)"
                " DO UPDATE SET next_offset = excluded.next_offset",
                (READER, self._stream, intent.partition, intent.last + 1),
            )
            self._db.execute(
                "DELETE FROM not_stored WHERE partition_no = ? AND log_offset <= ?",
                (intent.partition, intent.last),
            )

    def close(self) -> None:
        self._db.close()

    def _next_offset(self, reader: str, partition: int) -> int:
        with reading(self._db):
            row = self._db.execute(
                "SELECT next_offset FROM positions"
                " WHERE reader = ? AND stream = ? AND partition_no = ?",
                (reader, self._stream, partition),
            ).fetchone()
            return 0 if row is None else int(row[0])
