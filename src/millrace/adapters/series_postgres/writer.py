"""The keeping end: readings are rows already, so sealing rolls up and says how far it has come.

Source: D-30, F2-141, F2-142; architecture.md 5.
"""

from typing import Final

import numpy as np
import pyarrow as pa

from millrace.adapters.series_postgres.rollups import LEVELS, roll_up
from millrace.adapters.series_postgres.statements import instant
from millrace.flow.crashpoints import crashpoint
from millrace.store_postgres.days import DAY_US, make_partitions, retire, today_of
from millrace.store_postgres.layout import has_chunks
from millrace.store_postgres.questions import one_row
from millrace.store_postgres.session import Session

# Rooms for the days that come, so that the ledger never has to make one while it commits.
DAYS_AHEAD: Final = 3
_TIMEOUT_S: Final = 300


class PostgresSeries:
    """See `ports.series.SeriesWriter`."""

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="millrace-tend", timeout_s=_TIMEOUT_S)
        self._made_for = -1

    def sealed_through(self) -> int:
        with self._session.transaction() as db:
            return int(one_row(db, "SELECT sealed_id FROM commits")[0])

    def seal(self, rows: pa.Table, last_batch_id: int) -> None:
        with self._session.transaction() as db:
            if int(one_row(db, "SELECT sealed_id FROM commits")[0]) >= last_batch_id:
                return
            if len(rows):
                series = rows.column("series_id").to_numpy()
                time_us = np.floor_divide(rows.column("time_ns").to_numpy(), 1000)
                roll_up(db, series, time_us)
            crashpoint("seal_before_commit")
            # Last, because commits of the ledger wait for this row.
            db.execute("UPDATE commits SET sealed_id = %s", (last_batch_id,))

    def compact(self, now_ns: int) -> int:
        """Make room for the days that come; return how many partitions were made."""
        today = today_of(now_ns)
        if today == self._made_for:
            return 0
        with self._session.transaction() as db:
            if has_chunks(db):
                return 0
            wanted = range(today, today + DAYS_AHEAD + 1)
            made = make_partitions(db, wanted, today)
        self._made_for = today
        return len(made)

    def retire(self, before_ns: int) -> int:
        before_day = before_ns // (DAY_US * 1000)
        bound = (instant(before_day * DAY_US),)
        with self._session.transaction() as db:
            if has_chunks(db):
                days = len(db.execute("SELECT drop_chunks('readings', %s)", bound).fetchall())
            else:
                days = retire(db, before_day)
            for level in LEVELS:
                db.execute(f"DELETE FROM {level.name} WHERE bucket < %s".encode(), bound)  # noqa: S608
        return days

    def vacuum(self, now_ns: int) -> int:
        """Do nothing: the server tidies up after itself."""
        return 0

    def close(self) -> None:
        """End the connection."""
        self._session.close()
