"""Points on their way to sockets: columns, conflated per series, written as JSON once.

Source: D-33, API-132.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import isfinite
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from millrace.model import quality
from millrace.model.instants import format_instant
from millrace.serve.directory import SeriesDirectory

Longs = npt.NDArray[np.int64]
_SECOND_NS = 1_000_000_000


class Columns(NamedTuple):
    """Readings as parallel arrays. Units: `time_ns` UTC nanoseconds."""

    series: Longs
    time_ns: Longs
    value: npt.NDArray[np.float64]
    flags: npt.NDArray[np.int16]
    attr: Longs

    def take(self, rows: Longs) -> "Columns":
        """Return these rows."""
        return Columns._make(column[rows] for column in self)


def columns_of(batch: pa.RecordBatch) -> Columns:
    """Return the columns of a hot batch."""
    names = ("series_id", "time_ns", "value", "flags", "attr_id")
    return Columns(*(batch.column(name).to_numpy(zero_copy_only=False) for name in names))


def conflate(parts: Sequence[Columns]) -> Columns:
    """Return the newest reading by time of each series; of equal times the later one."""
    whole = Columns._make(np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((whole.time_ns, whole.series))
    ordered = whole.series[order]
    is_last = np.append(ordered[1:] != ordered[:-1], [True]) if len(ordered) else ordered > 0
    return whole.take(order[is_last])


class Filter:
    """Which series a subscription means; an empty side means all."""

    def __init__(self, devices: frozenset[str], metrics: frozenset[str]) -> None:
        self.devices = devices
        self.metrics = metrics
        self._mask = np.zeros(0, np.bool_)

    @property
    def key(self) -> tuple[frozenset[str], frozenset[str]]:
        """What makes two filters the same set."""
        return (self.devices, self.metrics)

    def rows(self, series: Longs, directory: SeriesDirectory) -> Longs:
        """Return the places in `series` that are meant."""
        size = len(self._mask)
        if directory.newest >= size:
            more = directory.mask(self.devices, self.metrics, size)
            self._mask = np.append(self._mask, more)
        known = series < len(self._mask)
        return np.flatnonzero(known & self._mask[np.where(known, series, 0)])


def encode(columns: Columns, directory: SeriesDirectory) -> Iterator[str]:
    """Yield the JSON of each point; '' for one whose series is not known."""
    for series, time_ns, value, flags, attr in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        head = directory.head(series, attr)
        if not head:
            yield ""
            continue
        number = repr(value) if isfinite(value) else "null"
        yield (
            f'{head},"time":"{_time_text(time_ns)}","value":{number},"quality":{_flags_text(flags)}}}'
        )


def _time_text(time_ns: int) -> str:
    second, fraction = divmod(time_ns, _SECOND_NS)
    if fraction:
        digits = f"{fraction:09d}"
        while digits.endswith("000"):
            digits = digits[:-3]
        return f"{_second_text(second)}.{digits}Z"
    return _second_text(second) + "Z"


@lru_cache(maxsize=4096)
def _second_text(second: int) -> str:
    return format_instant(second * _SECOND_NS)[:-1]


@lru_cache(maxsize=1024)
def _flags_text(flags: int) -> str:
    return orjson.dumps(quality.names(flags)).decode()
