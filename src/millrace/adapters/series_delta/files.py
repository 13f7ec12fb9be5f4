"""The data files of the sealed table: what they hold, how they are named, and how they are written.

A file holds readings of one UTC date, sorted by (series, time), no (series, time) twice. Its name
says which batches it covers: `<last batch id>-<merges>-<part>-<writer>.parquet`. So the order in
which readings were committed can be told from names alone: of two readings of one series and
instant, that in the run with the higher batch id came later. Files with the same first two numbers
are one run: they were written together and do not overlap. The last part is drawn by each writer
at its start, so that one who has lost its place never writes over a file of its successor.
A file is durable before any commit names it.
Source: D-12, D-23, D-30; B6.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

DAY_US = 86_400_000_000

FILE_SCHEMA = pa.schema(
    [
        pa.field("series_id", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("flags", pa.int16(), nullable=False),
        pa.field("attr_id", pa.int64(), nullable=False),
    ]
)
TABLE_SCHEMA = FILE_SCHEMA.append(pa.field("date", pa.date32(), nullable=False))

# Large enough that the footers of a month are read in milliseconds, small enough that one series
# of ten thousand costs the decoding of one group (measured: 30 days of one series in 12 ms).
ROW_GROUP_ROWS = 122_880

_SAMPLE_ROWS = 10_000
# Values that hardly repeat are smaller without a dictionary (7.7 against 9.5 bytes a reading).
_DICTIONARY_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """Which batches a file covers: those up to `last_batch_id`, merged `merges` times."""

    last_batch_id: int
    merges: int

    def name(self, part: int, writer: str) -> str:
        """Return the name of file number `part` of this run."""
        return f"{self.last_batch_id:019d}-{self.merges:03d}-{part:04d}-{writer}.parquet"


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file as the table lists it.

    Units: `day` is days since 1970-01-01; instants are UTC microseconds, both ends inclusive;
    `written_at_ms` is UTC milliseconds.
    """

    path: str
    run: Run
    day: int
    rows: int
    size_bytes: int
    written_at_ms: int
    first_series: int
    last_series: int
    first_us: int
    last_us: int


@dataclass(slots=True)
class Columns:
    """Readings as arrays, instants in UTC microseconds."""

    series: npt.NDArray[np.int64]
    time_us: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    flags: npt.NDArray[np.int16]
    attr: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.series)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> "Columns":
        """Return some of the readings."""
        return Columns(
            self.series[rows], self.time_us[rows], self.value[rows], self.flags[rows],
            self.attr[rows],
        )  # fmt: skip

    def table(self) -> pa.Table:
        """Return the readings with the columns of a data file."""
        times = pa.array(self.time_us).cast(FILE_SCHEMA.field("time").type)
        columns = [pa.array(self.series), times, pa.array(self.value), pa.array(self.flags)]
        return pa.Table.from_arrays([*columns, pa.array(self.attr)], schema=FILE_SCHEMA)


def run_of(path: str) -> Run:
    """Return the run that a file belongs to; a name that is not ours counts as older than all."""
    parts = Path(path).stem.split("-")
    if len(parts) == 4 and all(part.isdecimal() for part in parts[:3]):  # noqa: PLR2004 (as above)
        return Run(int(parts[0]), int(parts[1]))
    return Run(0, 0)


def date_text(day: int) -> str:
    """Return the date of a day number as YYYY-MM-DD."""
    return str(np.datetime64(day, "D"))


def folder_of(day: int) -> str:
    """Return the folder that Delta readers expect for a date."""
    return f"date={date_text(day)}"


def statistics_of(file: DataFile) -> str:
    """Return what the table keeps of a file for those who skip files, as Delta's JSON."""
    lowest = {"series_id": file.first_series, "time": _instant(file.first_us)}
    highest = {"series_id": file.last_series, "time": _instant(file.last_us)}
    absent = dict.fromkeys(FILE_SCHEMA.names, 0)
    return json.dumps(
        {
            "numRecords": file.rows, "minValues": lowest, "maxValues": highest,
            "nullCount": absent,
        }
    )  # fmt: skip


def _instant(time_us: int) -> str:
    return f"{np.datetime64(time_us, 'us')}Z"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file goes: table, run and date, by whom and when (UTC milliseconds)."""

    root: Path
    run: Run
    day: int
    writer: str
    now_ms: int


def write_file(place: Place, part: int, slices: Iterable[pa.Table]) -> DataFile:
    """Write one data file from sorted slices and make it durable.

    Shape: at least one slice, each with FILE_SCHEMA and rows, each beginning behind the one before.
    """
    root, day = place.root, place.day
    path = root / folder_of(day) / place.run.name(part, place.writer)
    is_first_of_date = not path.parent.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        extent = _write_slices(stream, slices)
        stream.flush()
        os.fsync(stream.fileno())
    sync(path.parent)
    if is_first_of_date:
        sync(root)
    return DataFile(
        f"{folder_of(day)}/{path.name}", place.run, day, extent.rows, path.stat().st_size,
        place.now_ms, extent.first_series, extent.last_series, extent.first_us, extent.last_us,
    )  # fmt: skip


@dataclass(slots=True)
class _Extent:
    rows: int = 0
    first_series: int = 0
    last_series: int = 0
    first_us: int = 0
    last_us: int = 0

    def grow(self, table: pa.Table) -> None:
        series, times = table.column("series_id"), table.column("time").cast(pa.int64()).to_numpy()
        low, high = int(times.min()), int(times.max())
        if self.rows == 0:
            self.first_series, self.first_us, self.last_us = series[0].as_py(), low, high
        self.first_us, self.last_us = min(self.first_us, low), max(self.last_us, high)
        self.last_series = series[-1].as_py()
        self.rows += table.num_rows


def _write_slices(stream: BinaryIO, slices: Iterable[pa.Table]) -> _Extent:
    extent = _Extent()
    writer: pq.ParquetWriter | None = None
    try:
        for table in slices:
            writer = writer or _writer(stream, table)
            writer.write_table(table, ROW_GROUP_ROWS)
            extent.grow(table)
    finally:
        if writer is not None:
            writer.close()
    return extent


def _writer(stream: BinaryIO, sample: pa.Table) -> pq.ParquetWriter:
    dictionaries = ["series_id", "flags", "attr_id"]
    if _repeats(sample.column("value")):
        dictionaries.append("value")
    return pq.ParquetWriter(
        stream,
        FILE_SCHEMA,
        compression="zstd",
        compression_level=3,
        use_dictionary=dictionaries,
        column_encoding={"time": "DELTA_BINARY_PACKED"},
        write_page_checksum=True,
        sorting_columns=[pq.SortingColumn(0), pq.SortingColumn(1)],
    )


def _repeats(values: pa.ChunkedArray) -> bool:
    middle = max(0, (len(values) - _SAMPLE_ROWS) // 2)
    sample = values.slice(middle, _SAMPLE_ROWS)
    return bool(len(sample.unique()) <= _DICTIONARY_SHARE * len(sample))


def sync(path: Path) -> None:
    """Make the content of a file, or the entries of a folder, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
