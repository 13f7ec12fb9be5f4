"""Columns: what is known of many readings, one array per property."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IntColumn = npt.NDArray[np.int64]
FloatColumn = npt.NDArray[np.float64]
FlagColumn = npt.NDArray[np.int16]
BoolColumn = npt.NDArray[np.bool_]
ByteRows = npt.NDArray[np.uint8]


class ReadingColumns(NamedTuple):
    """Readings as codecs give them, in the order of their messages.

    Shape: one entry per reading in every column. `message` is the number of the message in its
    work, `slot` a number of the series book.
    Units: `time_ns` UTC nanoseconds.
    """

    message: IntColumn
    slot: IntColumn
    time_ns: IntColumn
    value: FloatColumn
    flags: FlagColumn

    def chosen(self, rows: BoolColumn | IntColumn) -> "ReadingColumns":
        """Return the readings that a mask or indices choose."""
        message, slot, time_ns, value, flags = self
        return ReadingColumns(message[rows], slot[rows], time_ns[rows], value[rows], flags[rows])


def joined(parts: list[ReadingColumns]) -> ReadingColumns:
    """Return all readings of the parts, which are not empty, in the order of their messages."""
    if len(parts) == 1:
        return parts[0]
    every = ReadingColumns(*map(np.concatenate, zip(*parts, strict=True)))
    return every.chosen(np.argsort(every.message, kind="stable"))


def no_readings() -> ReadingColumns:
    """Return columns without entries."""
    long = np.zeros(0, np.int64)
    return ReadingColumns(long, long, long, np.zeros(0, np.float64), np.zeros(0, np.int16))
