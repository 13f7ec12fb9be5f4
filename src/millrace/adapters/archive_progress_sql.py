"""How far the archive has come, and what it leaves out.

Positions are those of the reader `archive`; an intent is written before its objects, so a crash
between two of them is finished with the same keys.
Source: D-28, REG-041, MTR-134, MTR-135.
"""

from typing import Any, Final

from millrace.errors import FencedError
from millrace.ports.archive import Intent
from millrace.schema.tables import Tables

READER: Final = "archive"


class SqlArchiveProgress:
    """See `ports.archive.ArchivePositions` and `ports.archive.Outcomes`."""

    def __init__(self, tables: Tables, *, stream: str, decided_by: str = "process") -> None:
        self._tables = tables
        self._stream = stream
        self._decided_by = decided_by

    def position(self, partition: int) -> int:
        return self._next_offset(READER, partition)

    def take_up(self, partition: int, start: int) -> int:
        with self._tables.writing() as changes:
            changes.change(
                "INSERT INTO positions (reader, stream, partition_no, next_offset)"
                " VALUES (:reader, :stream, :partition, :start) ON CONFLICT DO NOTHING",
                reader=READER, stream=self._stream, partition=partition, start=start,
            )  # fmt: skip
        return self.position(partition)

    def decided(self, partition: int) -> int:
        return self._next_offset(self._decided_by, partition)

    def not_stored(self, partition: int, first: int, last: int) -> set[int]:
        with self._tables.reading() as asked:
            rows = asked.rows(
                "SELECT log_offset FROM not_stored WHERE partition_no = :partition"
                " AND log_offset BETWEEN :first AND :last",
                partition=partition, first=first, last=last,
            )  # fmt: skip
        return {offset for (offset,) in rows}

    def intent(self, partition: int) -> Intent | None:
        with self._tables.reading() as asked:
            rows = asked.rows(
                "SELECT partition_no, first_offset, last_offset, key FROM archive_intents"
                " WHERE partition_no = :partition",
                partition=partition,
            )
        return Intent(*rows[0]) if rows else None

    def begin(self, intent: Intent) -> None:
        with self._tables.writing() as changes:
            inserted = changes.change(
                "INSERT INTO archive_intents (partition_no, first_offset, last_offset, key)"
                " VALUES (:partition, :first, :last, :key) ON CONFLICT DO NOTHING",
                **_values(intent),
            )
            if inserted != 1:
                raise FencedError(
                    f"partition {intent.partition} is being archived already",
                    "let one process archive at a time",
                )

    def finish(self, intent: Intent) -> None:
        with self._tables.writing() as changes:
            deleted = changes.change(
                "DELETE FROM archive_intents WHERE partition_no = :partition"
                " AND first_offset = :first AND last_offset = :last AND key = :key",
                **_values(intent),
            )
            if deleted != 1:
                raise FencedError(
                    f"partition {intent.partition} was archived by somebody else",
                    "let one process archive at a time",
                )
            changes.change(
                "INSERT INTO positions (reader, stream, partition_no, next_offset)"
                " VALUES (:reader, :stream, :partition, :next) ON CONFLICT"
                " (reader, stream, partition_no) DO UPDATE SET next_offset = excluded.next_offset",
                reader=READER, stream=self._stream, partition=intent.partition,
                next=intent.last + 1,
            )  # fmt: skip
            changes.change(
                "DELETE FROM not_stored WHERE partition_no = :partition AND log_offset <= :last",
                partition=intent.partition, last=intent.last,
            )  # fmt: skip

    def close(self) -> None:
        self._tables.close()

    def _next_offset(self, reader: str, partition: int) -> int:
        with self._tables.reading() as asked:
            rows = asked.rows(
                "SELECT next_offset FROM positions WHERE reader = :reader AND stream = :stream"
                " AND partition_no = :partition",
                reader=reader, stream=self._stream, partition=partition,
            )  # fmt: skip
        return int(rows[0][0]) if rows else 0


def _values(intent: Intent) -> dict[str, Any]:
    return {
        "partition": intent.partition,
        "first": intent.first,
        "last": intent.last,
        "key": intent.key,
    }
