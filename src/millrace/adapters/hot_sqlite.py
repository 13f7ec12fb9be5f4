"""Hot readings in the SQLite store, for those who query and seal."""

from pathlib import Path

from millrace.model.work import LatestPage
from millrace.ports.ledger import HotBatch
from millrace.store.latest import stored_latest
from millrace.store.questions import answers, number
from millrace.store.sqlite import open_store, reading
from millrace.store.transaction import transaction


class SqliteHotReadings:
    """The reading end for queries and sealing; see `ports.ledger.HotReadings`."""

    def __init__(self, path: Path, *, read_only: bool = True) -> None:
        self._db = open_store(path, read_only=read_only)

    def hot(self, after_id: int, limit: int = 1000) -> list[HotBatch]:
        with reading(self._db):
            rows = answers(
                self._db,
                "SELECT id, committed_at_ns, row_count, frame FROM hot_batches WHERE id > ?"
                " ORDER BY id LIMIT ?",
                (after_id, limit),
            )
        return [HotBatch(*row) for row in rows]

    def forget_hot(self, up_to_id: int) -> int:
        with transaction(self._db):
            # What the stored latest values do not have yet must stay readable.
            through_id = number(self._db, "SELECT min(through_id) FROM latest_pages")
            last = min(up_to_id, through_id)
            self._db.execute("DELETE FROM hot_batches WHERE id <= ?", (last,))
            return self._db.changes()

    def latest_pages(self) -> tuple[int, list[LatestPage]]:
        """Return the stored pages of latest values, and the hot batch they are complete to."""
        with reading(self._db):
            return stored_latest(self._db)

    def close(self) -> None:
        self._db.close()
