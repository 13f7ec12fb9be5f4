"""Readings in the order of a data file: by series and time, the later of two equal ones only.

Source: D-12, D-30.
"""

import numpy as np
import numpy.typing as npt

from millrace.adapters.series_delta.files import DAY_US, Columns

# Bits that the microseconds of one day need; the series id has the rest of a signed 64-bit key.
_DAY_BITS = 37
_MAX_PACKED_SERIES = 1 << (63 - _DAY_BITS)

_Order = npt.NDArray[np.intp]


def sorted_day(rows: Columns) -> Columns:
    """Return the readings of one UTC day sorted by (series, time); of equal ones the last.

    Shape: all instants lie in one UTC day; at least one reading.
    """
    key = _packed(rows)
    if key is None:
        order = np.lexsort((rows.time_us, rows.series))
        ends = _ends(rows.series[order], rows.time_us[order])
    else:
        order = np.argsort(key)
        ends = _ends(key[order])
    if len(ends) < len(order):
        order = _last_written(order, ends)
    return rows.take(order)


def _packed(rows: Columns) -> npt.NDArray[np.int64] | None:
    if rows.series.min() < 0 or rows.series.max() >= _MAX_PACKED_SERIES:
        return None
    packed: npt.NDArray[np.int64] = (rows.series << _DAY_BITS) | (rows.time_us % DAY_US)
    return packed


def _ends(*keys: npt.NDArray[np.int64]) -> _Order:
    """Return the last place of each group of equal neighbours."""
    differs = np.zeros(len(keys[0]), bool)
    differs[-1] = True
    for key in keys:
        differs[:-1] |= key[1:] != key[:-1]
    return np.flatnonzero(differs)


def _last_written(order: _Order, ends: _Order) -> _Order:
    starts = np.concatenate((np.zeros(1, ends.dtype), ends[:-1] + 1))
    last: _Order = np.maximum.reduceat(order, starts)
    return last
