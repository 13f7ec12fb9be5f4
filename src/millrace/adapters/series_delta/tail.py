"""Keeps a view up to date: the hot batches as they are committed, the table as it is sealed.

The order of the two looks matters. Hot batches are fetched first and the table is read after: a
batch that was sealed and forgotten before the first look is then certainly in the table, and one
that both have is left out of the hot part by its id. So no row is seen twice or never.
Source: D-31.
"""

from pathlib import Path

from millrace.adapters.series_delta.hot import HotRun, run_of_batch, with_run, without_batches
from millrace.adapters.series_delta.table import SealedTable, open_table
from millrace.adapters.series_delta.view import View
from millrace.flow.hot_frame import open_hot
from millrace.ports.ledger import HotReadings

_FETCH = 1000


class ViewTail:
    """Follows ledger and table; one thread calls `advance`."""

    def __init__(self, root: Path, hot: HotReadings, shard: str) -> None:
        self._root = root
        self._hot = hot
        self._shard = shard
        self._table: SealedTable | None = None
        self._seen = -1
        self.view = View(root)

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
        has_changed = self._take_table()
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

    def _take_table(self) -> bool:
        if self._table is None:
            self._table = open_table(self._root, self._shard)
            return self._table is not None
        return self._table.update()

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
        self.view = View(self._root, files, runs, sealed, self._seen)
