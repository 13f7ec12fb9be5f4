"""Exports: readings as CSV, Parquet or Arrow, piece by piece.

Each piece is one batch of the query, encoded in the thread of exports.
Source: API-033, API-018; attacks A29, A32.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.model import quality
from millrace.ports.registry import SeriesRow
from millrace.serve.instants import format_instant
from millrace.serve.render import Units, distinct, unit_of

COLUMNS = ("time", "device_id", "metric", "channel", "value", "unit", "quality")
MAX_ROWS = 10_000_000
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
_RISKY = ("=", "+", "-", "@", "\t", "\r")
_NAME = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema(
    [
        pa.field("time", pa.timestamp("ns", "UTC")),
        pa.field("device_id", _NAME),
        pa.field("metric", _NAME),
        pa.field("channel", _NAME),
        pa.field("value", pa.float64()),
        pa.field("unit", _NAME),
        pa.field("quality", pa.list_(pa.string())),
    ]
)


class Encoder(Protocol):
    """Turns batches of readings into the bytes of a file."""

    def encode(self, batch: pa.RecordBatch, units: Units) -> bytes:
        """Return the next bytes."""
        ...

    def finish(self) -> bytes:
        """Return the last bytes."""
        ...


def encoder(form: str, series: Mapping[int, SeriesRow]) -> Encoder:
    """Return the encoder of a format."""
    makers: dict[str, Callable[[Mapping[int, SeriesRow]], Encoder]] = {
        "csv": _Csv, "parquet": _Parquet, "arrow": _ArrowStream,
    }  # fmt: skip
    return makers[form](series)


def guarded(text: str | None) -> str:
    """Return a text cell that no spreadsheet takes for a formula (A29)."""
    if not text:
        return ""
    return f"'{text}" if text.startswith(_RISKY) else text


class _Csv:
    def __init__(self, series: Mapping[int, SeriesRow]) -> None:
        self._series = series
        self._head = ",".join(COLUMNS) + "\r\n"

    def encode(self, batch: pa.RecordBatch, units: Units) -> bytes:
        head, self._head = self._head, ""
        return (head + "".join(self._lines(batch, units))).encode()

    def finish(self) -> bytes:
        return self._head.encode()

    def _lines(self, batch: pa.RecordBatch, units: Units) -> list[str]:
        names = ("series_id", "time_ns", "value", "flags", "attr_id")
        columns = (batch.column(name).to_numpy().tolist() for name in names)
        # What surrounds time and value is the same for all rows of a series with one unit.
        frames: dict[tuple[int, int], tuple[str, str]] = {}
        lines = []
        for series_id, time_ns, value, flags, attr_id in zip(*columns, strict=True):
            frame = frames.get((series_id, attr_id))
            if frame is None:
                frame = frames[series_id, attr_id] = self._frame(series_id, attr_id, units)
            marks = "|".join(quality.names(flags)) if flags else ""
            lines.append(f"{format_instant(time_ns)},{frame[0]},{value!r},{frame[1]},{marks}\r\n")
        return lines

    def _frame(self, series_id: int, attr_id: int, units: Units) -> tuple[str, str]:
        row = self._series[series_id]
        names = ",".join(_cell(guarded(part)) for part in row.key)
        return names, _cell(guarded(unit_of(row, units, attr_id)))


def _cell(text: str) -> str:
    """Return a text as one field of RFC 4180."""
    sink = io.StringIO(newline="")
    csv.writer(sink, lineterminator="").writerow([text, ""])
    return sink.getvalue()[:-1]


class _Columnar:
    """What Parquet and Arrow have in common: a sink that is emptied after each batch."""

    def __init__(self, series: Mapping[int, SeriesRow]) -> None:
        self._series = series
        self._sink = _Sink()

    def _table(self, batch: pa.RecordBatch, units: Units) -> pa.Table:
        ids = batch.column("series_id").to_pylist()
        rows = [self._series[series_id] for series_id in ids]
        attrs = batch.column("attr_id").to_pylist()
        marks = [quality.names(flags) for flags in batch.column("flags").to_pylist()]
        found = zip(rows, attrs, strict=True)
        columns = [
            batch.column("time_ns").cast(pa.timestamp("ns", "UTC")),
            *(pa.array([row.key[at] for row in rows], _NAME) for at in range(3)),
            batch.column("value"),
            pa.array([unit_of(row, units, attr_id) for row, attr_id in found], _NAME),
            pa.array(marks, pa.list_(pa.string())),
        ]
        return pa.Table.from_arrays(columns, schema=_SCHEMA)


class _Parquet(_Columnar):
    def __init__(self, series: Mapping[int, SeriesRow]) -> None:
        super().__init__(series)
        self._writer = pq.ParquetWriter(pa.PythonFile(self._sink), _SCHEMA, compression="zstd")

    def encode(self, batch: pa.RecordBatch, units: Units) -> bytes:
        self._writer.write_table(self._table(batch, units))
        return self._sink.take()

    def finish(self) -> bytes:
        self._writer.close()
        return self._sink.take()


class _ArrowStream(_Columnar):
    def __init__(self, series: Mapping[int, SeriesRow]) -> None:
        super().__init__(series)
        self._writer = pa.ipc.new_stream(
            pa.PythonFile(self._sink), _SCHEMA,
            options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=False),
        )  # fmt: skip

    def encode(self, batch: pa.RecordBatch, units: Units) -> bytes:
        self._writer.write_table(self._table(batch, units))
        return self._sink.take()

    def finish(self) -> bytes:
        self._writer.close()
        return self._sink.take()


class _Sink(io.RawIOBase):
    """A file that remembers what was written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, part: Any) -> int:
        kept = bytes(part)
        self._parts.append(kept)
        self._size += len(kept)
        return len(kept)

    def take(self) -> bytes:
        """Return and forget what was written."""
        found = b"".join(self._parts)
        self._parts.clear()
        return found


class Export:
    """One export on its way; all but `attributes` runs in the thread of exports."""

    def __init__(
        self, batches: Iterator[pa.RecordBatch], series: Mapping[int, SeriesRow], form: str
    ) -> None:
        self._batches = batches
        self._encoder = encoder(form, series)
        self._rows = 0

    def next_batch(self) -> pa.RecordBatch | None:
        """Return the next batch of the query, or None behind the last.

        Raises:
            ValueError: More than `MAX_ROWS`; the caller cuts the connection.
        """
        batch = next(self._batches, None)
        if batch is not None:
            self._rows += batch.num_rows
            if self._rows > MAX_ROWS:
                raise ValueError(f"an export has at most {MAX_ROWS} rows")
        return batch

    def encode(self, batch: pa.RecordBatch, units: Units) -> bytes:
        """Return the bytes of a batch."""
        return self._encoder.encode(batch, units)

    def finish(self) -> bytes:
        """Return the end of the file."""
        return self._encoder.finish()

    @staticmethod
    def attributes(batch: pa.RecordBatch) -> list[int]:
        """Return the attribute ids of a batch."""
        return distinct(pa.chunked_array([batch.column("attr_id")]))
