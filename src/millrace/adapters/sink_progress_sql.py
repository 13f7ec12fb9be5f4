"""How far a store beside the history has come, and the names it needs, in the ledger.

The position is that of the reader `series:<name>` in the stream `hot_batches`; it counts batches,
not messages, so it has no say in what the log keeps.
Source: D-28, REG-041, REG-042.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from millrace.errors import FencedError
from millrace.ports.sink import SeriesName, SinkLetter
from millrace.schema.instants import stored_instant
from millrace.schema.tables import Tables

STREAM: Final = "hot_batches"
REASON: Final = "store_rejected"

_OFFSET_BITS = 48
_DETAIL_CHARS = 1000
_ELEMENT_CHARS = 255


class SqlSinkProgress:
    """See `ports.sink.SinkProgress`."""

    def __init__(self, tables: Tables, *, reader: str) -> None:
        self._tables = tables
        self._reader = reader

    def through(self) -> int:
        with self._tables.reading() as asked:
            rows = asked.rows(
                "SELECT next_offset FROM positions WHERE reader = :reader AND stream = :stream"
                " AND partition_no = 0",
                reader=self._reader, stream=STREAM,
            )  # fmt: skip
        return int(rows[0][0]) if rows else 0

    def names(self, series_ids: Sequence[int]) -> dict[int, SeriesName]:
        with self._tables.reading() as asked:
            rows = asked.rows(
                "SELECT s.series_id, s.device_id, s.metric, s.channel FROM numbers(:ids) k"
                " CROSS JOIN series s ON s.series_id = k.value",
                ids=list(series_ids),
            )
        return {number: SeriesName(*name) for number, *name in rows}

    def attributes(self, attr_ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
        with self._tables.reading() as asked:
            rows = asked.rows(
                "SELECT a.attr_id, a.body FROM numbers(:ids) k"
                " CROSS JOIN attributes a ON a.attr_id = k.value",
                ids=list(attr_ids),
            )
        return {number: json.loads(body) for number, body in rows}

    def advance(self, before: int, through: int, letters: Sequence[SinkLetter]) -> None:
        with self._tables.writing() as changes:
            changes.change(
                "INSERT INTO positions (reader, stream, partition_no, next_offset)"
                " VALUES (:reader, :stream, 0, 0) ON CONFLICT DO NOTHING",
                reader=self._reader, stream=STREAM,
            )  # fmt: skip
            moved = changes.change(
                "UPDATE positions SET next_offset = :through WHERE reader = :reader"
                " AND stream = :stream AND partition_no = 0 AND next_offset = :before",
                reader=self._reader, stream=STREAM, before=before, through=through,
            )  # fmt: skip
            if moved != 1:
                raise FencedError(
                    f"{self._reader} was moved by somebody else",
                    "let one process of the role tend write to a store",
                )
            changes.change_all(
                "INSERT INTO dead_letters (family, stream, partition_no, log_offset, element,"
                " reason, detail, received_at, device_id, topic, size_bytes)"
                " VALUES ('generic', :stream, :partition, :offset, :element, :reason, :detail,"
                " :received_at, :device_id, '', 0)"
                " ON CONFLICT (stream, partition_no, log_offset, element, reason) DO NOTHING",
                [_values(self._reader, letter) for letter in letters],
            )

    def close(self) -> None:
        self._tables.close()


def _values(reader: str, letter: SinkLetter) -> dict[str, Any]:
    return {
        "stream": reader,
        "partition": letter.position >> _OFFSET_BITS,
        "offset": letter.position & ((1 << _OFFSET_BITS) - 1),
        "element": letter.element[:_ELEMENT_CHARS],
        "reason": REASON,
        "detail": letter.detail[:_DETAIL_CHARS],
        "received_at": stored_instant(letter.received_at_ns),
        "device_id": letter.device_id,
    }
