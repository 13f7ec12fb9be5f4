"""Hot readings in the PostgreSQL store, for those who follow commits, query and seal."""

from millrace.model.work import LatestPage
from millrace.ports.ledger import HotBatch
from millrace.store_postgres.questions import one_row, stored_latest
from millrace.store_postgres.session import Session


class PostgresHotReadings:
    """The reading end for queries and sealing; see `ports.ledger.HotReadings`."""

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="millrace-hot")

    def hot(self, after_id: int, limit: int = 1000) -> list[HotBatch]:
        with self._session.transaction() as db:
            rows = db.execute(
                "SELECT id, committed_at_ns, row_count, frame FROM hot_batches WHERE id > %s"
                " ORDER BY id LIMIT %s",
                (after_id, limit),
                binary=True,
            ).fetchall()
        return [HotBatch(*row) for row in rows]

    def forget_hot(self, up_to_id: int) -> int:
        with self._session.transaction() as db:
            # What the stored latest values do not have yet must stay readable.
            covered = int(one_row(db, "SELECT covered_id FROM commits")[0])
            done = db.execute("DELETE FROM hot_batches WHERE id <= %s", (min(up_to_id, covered),))
            return done.rowcount

    def latest_pages(self) -> tuple[int, list[LatestPage]]:
        """Return the stored pages of latest values, and the hot batch they are complete to."""
        with self._session.transaction("REPEATABLE READ") as db:
            return stored_latest(db)

    def close(self) -> None:
        self._session.close()
