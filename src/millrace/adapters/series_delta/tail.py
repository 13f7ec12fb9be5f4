"""Keeps a view up to date: the hot batches as they are committed, the table as it is sealed.

The order of the two looks matters. Hot batches are fetched first and the table is read after: a
batch that was sealed and forgotten before the first look is then certainly in the table, and one
that both have is left out of the hot part by its id. So no row is seen twice or never.
A bucket is not looked at for every question: between two looks the table may be older than the
ledger, and a batch must not be forgotten as soon as it is sealed (`forget_after_ns` of the sealer).
While the bucket is away, the table that is known will do for as long as the ledger shows that
nothing behind it was forgotten.
Source: D-31.
"""

import time

from millrace.adapters.series_delta.hot import HotRun, run_of_batch, with_run, without_batches
from millrace.adapters.series_delta.storage import Storage
from millrace.adapters.series_delta.table import SealedTable, open_table
from millrace.adapters.series_delta.view import View
from millrace.errors import RetryError
from millrace.flow.hot_frame import open_hot
from millrace.ports.ledger import HotReadings

_FETCH = 1000


class ViewTail:
    """Follows ledger and table; one thread calls `advance`."""

    def __init__(self, storage: Storage, hot: HotReadings, shard: str) -> None:
        self._storage = storage
        self._hot = hot
        self._shard = shard
        self._table: SealedTable | None = None
        self._seen = -1
        self._looked_s = -1e9
        self.view = View(storage.root)

    def advance(self) -> tuple[list[HotRun], bool]:
        """Take in what was committed; return the arrived runs, and whether some were missed.

        Missed are batches that were sealed and forgotten before they were seen here.
        Raises:
            RetryError: The ledger or the table cannot be read at the moment.
            StopError: A hot batch is damaged.
        """
        has_begun = self._seen >= 0
        if not has_begun:
            self._begin()
        seen_before = self._seen
        arrived = self._fetch()
        has_changed = self._look(arrived, seen_before)
        sealed = self._table.sealed_through if self._table is not None else 0
        has_missed = sealed > seen_before and self._lacks(arrived, seen_before, sealed)
        self._seen = max(self._seen, sealed)
        if arrived or has_changed or not has_begun:
            self._show(arrived, sealed)
        return arrived, has_missed

    def _begin(self) -> None:
        """Begin behind what is sealed: the ledger may still have it, the table surely does."""
        self._take_table()
        self._seen = self._table.sealed_through if self._table is not None else 0

    def _fetch(self) -> list[HotRun]:
        arrived: list[HotRun] = []
        while batches := self._hot.hot(self._seen, _FETCH):
            arrived += [run_of_batch(open_hot(batch.frame), batch.id) for batch in batches]
            self._seen = batches[-1].id
        return arrived

    def _look(self, arrived: list[HotRun], seen_before: int) -> bool:
        """Take in later commits of the table, if it is time to look for them."""
        if time.monotonic() - self._looked_s < self._storage.look_every_s:
            return False
        try:
            return self._take_table()
        except RetryError:
            if self._has_missed_none(arrived, seen_before):
                return False
            self._seen = seen_before
            raise

    def _has_missed_none(self, arrived: list[HotRun], seen_before: int) -> bool:
        """Return whether the ledger still has what it had: it forgets the oldest batches first."""
        if arrived:
            return arrived[0].first_batch == seen_before + 1
        oldest = self._hot.hot(0, 1)
        return bool(oldest) and oldest[0].id <= seen_before

    def _take_table(self) -> bool:
        if self._table is None:
            self._table = open_table(self._storage, self._shard)
            has_changed = self._table is not None
        else:
            has_changed = self._table.update()
        self._looked_s = time.monotonic()
        return has_changed

    @staticmethod
    def _lacks(arrived: list[HotRun], seen_before: int, sealed: int) -> bool:
        """Return whether ids may be missing between what was seen and what is sealed."""
        covered = sum(1 for run in arrived if run.last_batch <= sealed)
        return covered < sealed - seen_before

    def _show(self, arrived: list[HotRun], sealed: int) -> None:
        runs = self.view.hot
        if sealed > self.view.sealed_through:
            runs = without_batches(runs, sealed)
        for run in arrived:
            if run.first_batch > sealed:
                runs = with_run(runs, run)
        files = self._table.files if self._table is not None else ()
        self.view = View(self._storage.root, files, runs, sealed, self._seen)
