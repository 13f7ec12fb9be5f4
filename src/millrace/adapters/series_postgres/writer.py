"""The keeping end: readings are rows already, so sealing rolls up and says how far it has come.

Source: D-30, F2-141, F2-142; architecture.md 5.
"""

from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa

from millrace.adapters.series_postgres.rollups import LEVELS, Level, roll_up
from millrace.adapters.series_postgres.statements import instant
from millrace.flow.crashpoints import crashpoint
from millrace.store_postgres.days import (
    DAY_US,
    days_before,
    drop,
    drop_chunk,
    empty,
    make_partitions,
    today_of,
)
from millrace.store_postgres.layout import has_chunks
from millrace.store_postgres.questions import one_row
from millrace.store_postgres.session import Session

# Rooms for the days that come, so that the ledger never has to make one while it commits.
DAYS_AHEAD: Final = 3
# So many roll-ups are deleted in one transaction.
SLICE: Final = 20_000
_TIMEOUT_S: Final = 300
# The batch is still there: it is forgotten after it was sealed.
_SEALED: Final = """UPDATE commits SET sealed_id = %(last)s, rolled_until = coalesce(
    (SELECT least(to_timestamp(committed_at_ns / 1e9), now()) FROM hot_batches
    WHERE id = %(last)s), rolled_until)"""
_OLD_CHUNKS: Final = """SELECT range_end FROM timescaledb_information.chunks
    WHERE hypertable_schema = current_schema() AND hypertable_name = 'readings'
    AND range_end <= %s ORDER BY range_end"""


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
            db.execute(_SEALED, {"last": last_batch_id})

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
        """Delete whole days before an instant; return the number of days deleted.

        What somebody holds for now stays, with all that is newer, until the next call. Every step
        has a transaction of its own, so that commits never wait for more than one of them.
        """
        before_day = before_ns // (DAY_US * 1000)
        before = instant(before_day * DAY_US)
        with self._session.transaction() as db:
            is_chunked = has_chunks(db)
        days = self._drop_chunks(before) if is_chunked else self._drop_days(before_day)
        for level in LEVELS:
            self._thin(level, before)
        return days

    def _drop_days(self, before_day: int) -> int:
        with self._session.transaction() as db:
            old = days_before(db, before_day)
        dropped = 0
        for one, days in old:
            if one.stop > before_day:
                for day in days:
                    with self._session.transaction() as db:
                        empty(db, one, day)
            else:
                with self._session.transaction() as db:
                    if not drop(db, one):
                        break
            dropped += len(days)
        return dropped

    def _drop_chunks(self, before: datetime) -> int:
        with self._session.transaction() as db:
            old = db.execute(_OLD_CHUNKS, (before,)).fetchall()
        for dropped, (stop,) in enumerate(old):
            with self._session.transaction() as db:
                if not drop_chunk(db, stop):
                    return dropped
        return len(old)

    def _thin(self, level: Level, before: datetime) -> None:
        """Delete old roll-ups slice by slice."""
        statement = f"""DELETE FROM {level.name} WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM {level.name} WHERE bucket < %s ORDER BY bucket LIMIT {SLICE}))"""  # noqa: S608
        deleted = SLICE
        while deleted == SLICE:
            with self._session.transaction() as db:
                deleted = db.execute(statement.encode(), (before,)).rowcount

    def vacuum(self, now_ns: int) -> int:
        """Do nothing: the server tidies up after itself."""
        return 0

    def close(self) -> None:
        """End the connection."""
        self._session.close()
