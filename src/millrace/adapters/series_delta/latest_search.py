"""Looks for newest readings in sealed files whose readings were not seen while they were hot.

That is the case after a start, and when a seal was quicker than `refresh`. Each file is asked by
itself for the last reading of each series, so what this takes in memory grows with the number of
series, never with that of readings. A question looks from the newest file back, and only as long
as one of its series may have a newer reading there; meanwhile `go_on` takes in all files, one
after the other, in a share of the time.
Source: API-031, D-31; B7.
"""

import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from millrace.adapters.series_delta.answers import Engine
from millrace.adapters.series_delta.files import Columns, DataFile
from millrace.adapters.series_delta.hot import Ids
from millrace.adapters.series_delta.latest import LatestArrays
from millrace.adapters.series_delta.sql import NEWEST_SQL
from millrace.adapters.series_delta.view import ALWAYS_US, Selection, View
from millrace.errors import RetryError, StopError
from millrace.ports.series import READING_SCHEMA

# After a look into a file so many times as long is left to questions.
_REST = 4
# After the start, and after a failure.
_PAUSE_S = 1.0
_COLUMNS = ("value", "flags", "attr_id")


class LatestSearch:
    """Completes `latest`; `through_id` is the batch up to which it is complete.

    `is_behind` says that there may be something to look for.
    """

    def __init__(
        self,
        engine: Engine,
        latest: LatestArrays,
        through_id: int,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._latest = latest
        self._steady_s = steady_s
        self._through_id = through_id
        self._taken_in: set[str] = set()
        self._damaged: set[str] = set()
        self.is_behind = True
        self._next_s: float | None = None

    def follow(self, view: View, *, has_missed: bool) -> None:
        """Note a view whose hot readings were taken in, but for batches that were `has_missed`."""
        self.is_behind |= has_missed
        if self.is_behind and not self._missed(view):
            self.is_behind = False
            self._taken_in.clear()
        if not self.is_behind:
            self._through_id = view.newest_id

    def go_on(self, view: View) -> None:
        """Take one missed file in when it is time to; the first time only some while after start.

        A file that is damaged is passed over, one that is away waits: whoever asks for its readings
        is told, and nobody else is held up.
        """
        if not self.is_behind:
            return
        begun_s = self._steady_s()
        if self._next_s is None:
            self._next_s = begun_s + _PAUSE_S
        if begun_s < self._next_s:
            return
        pause_s = 0.0
        for file in [one for one in self._missed(view) if one.path not in self._damaged][:1]:
            try:
                self._take_in(view, file, None)
            except RetryError:
                pause_s = _PAUSE_S
            except StopError:
                self._damaged.add(file.path)
        ended_s = self._steady_s()
        self._next_s = ended_s + max(pause_s, _REST * (ended_s - begun_s))

    def complete(self, view: View, ids: Ids | None) -> None:
        """Look for the newest reading of each of these series, ascending, or of all.

        Raises: as `Engine.ask`.
        """
        for file in self._missed(view):
            wanted = ids
            if wanted is not None:
                within = (wanted >= file.first_series) & (wanted <= file.last_series)
                wanted = self._latest.not_newer_than(wanted[within], file.last_us)
            if wanted is None or len(wanted):
                self._take_in(view, file, wanted)

    def _missed(self, view: View) -> list[DataFile]:
        """Return the files that were not taken in, newest readings first."""
        files = [
            file
            for file in view.files
            if file.run.last_batch_id > self._through_id and file.path not in self._taken_in
        ]
        return sorted(files, key=lambda file: file.last_us, reverse=True)

    def _take_in(self, view: View, file: DataFile, ids: Ids | None) -> None:
        part = View(view.root, (file,))
        wanted = Selection(ids, *ALWAYS_US)
        newest = self._engine.ask(part, wanted, _COLUMNS, NEWEST_SQL, is_part=True)
        self._latest.take_in(columns_of(newest), file.run.last_batch_id)
        if ids is None:
            self._taken_in.add(file.path)


def columns_of(table: pa.Table) -> Columns:
    """Return a table of readings as arrays, instants cut to microseconds."""
    series, time_ns, value, flags, attr = (
        table.column(name).to_numpy() for name in READING_SCHEMA.names
    )
    return Columns(series, np.floor_divide(time_ns, 1000), value, flags, attr)
