"""The newest reading of each series, by time, as arrays whose index is the series id.

Source: D-33, API-031; B7 (10,000 devices in 100 ms).
"""

import threading
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from millrace.adapters.series_delta.files import Columns
from millrace.adapters.series_delta.hot import Ids, without_replaced
from millrace.ports.series import READING_SCHEMA

_NEVER = np.iinfo(np.int64).min
_FIRST_SIZE = 1024


class LatestArrays:
    """Newest readings; one thread takes readings in, any thread asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._time_us = np.full(_FIRST_SIZE, _NEVER)
        self._batch = np.zeros(_FIRST_SIZE, np.int64)
        self._value = np.zeros(_FIRST_SIZE)
        self._flags = np.zeros(_FIRST_SIZE, np.int16)
        self._attr = np.zeros(_FIRST_SIZE, np.int64)

    def take_in(self, rows: Columns, batch_id: int) -> None:
        """Remember those readings that are newer than what is known, whatever came first.

        `batch_id` is the last batch whose readings these may be; of two readings of one instant
        that of the later batch counts, within `rows` the later row.
        """
        if not len(rows):
            return
        rows = without_replaced(rows)
        ends = np.append(rows.series[1:] != rows.series[:-1], np.True_)
        rows = rows.take(ends)
        with self._lock:
            self._grow(int(rows.series[-1]) + 1)
            known_us = self._time_us[rows.series]
            is_later = batch_id >= self._batch[rows.series]
            newer = (rows.time_us > known_us) | ((rows.time_us == known_us) & is_later)
            rows = rows if newer.all() else rows.take(newer)
            self._time_us[rows.series] = rows.time_us
            self._batch[rows.series] = batch_id
            self._value[rows.series] = rows.value
            self._flags[rows.series] = rows.flags
            self._attr[rows.series] = rows.attr

    def not_newer_than(self, ids: Ids, time_us: int) -> Ids:
        """Return those series of which no reading later than an instant is known."""
        with self._lock:
            known = ids < len(self._time_us)
            times = self._time_us[np.where(known, ids, 0)]
        return ids[~known | (times <= time_us)]

    def table(self, series_ids: Sequence[int] | None) -> pa.Table:
        """Return the newest reading of these series, or of all, in that order."""
        with self._lock:
            if series_ids is None:
                ids = np.flatnonzero(self._time_us != _NEVER)
            else:
                asked = np.asarray(series_ids, np.int64)
                asked = asked[(asked >= 0) & (asked < len(self._time_us))]
                ids = asked[self._time_us[asked] != _NEVER]
            columns = (
                ids, self._time_us[ids] * 1000, self._value[ids], self._flags[ids],
                self._attr[ids],
            )  # fmt: skip
        return pa.Table.from_arrays([pa.array(one) for one in columns], schema=READING_SCHEMA)

    def _grow(self, size: int) -> None:
        have = len(self._time_us)
        if size <= have:
            return
        more = max(size, 2 * have) - have
        self._time_us = np.concatenate((self._time_us, np.full(more, _NEVER)))
        self._batch = np.concatenate((self._batch, np.zeros(more, np.int64)))
        self._value = np.concatenate((self._value, np.zeros(more)))
        self._flags = np.concatenate((self._flags, np.zeros(more, np.int16)))
        self._attr = np.concatenate((self._attr, np.zeros(more, np.int64)))
