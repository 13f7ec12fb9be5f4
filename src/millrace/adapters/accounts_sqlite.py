"""The books of the ledger on SQLite, read only."""

import json
from pathlib import Path

from millrace.ports.accounts import Account
from millrace.store.sqlite import open_store, reading


class SqliteAccounts:
    """See `ports.accounts.Accounts`."""

    def __init__(self, path: Path) -> None:
        self._db = open_store(path, read_only=True)

    def read(self, reader: str = "process") -> Account:
        with reading(self._db):
            outcomes = self._db.execute("SELECT outcome, family, detail, count FROM counters")
            positions = self._db.execute(
                "SELECT partition_no, next_offset FROM positions WHERE reader = ?", (reader,)
            )
            return Account(
                {(outcome, family, detail): n for outcome, family, detail, n in outcomes},
                dict(positions),
                self._count("SELECT count(*) FROM dead_letters WHERE status = 'open'"),
                self._count("SELECT count(*) FROM devices"),
            )

    def needed(self) -> dict[int, int]:
        with reading(self._db):
            positions = self._db.execute(
                "SELECT partition_no, min(next_offset) FROM positions GROUP BY partition_no"
            )
            needed = {int(partition): int(offset) for partition, offset in positions}
            for (text,) in self._db.execute("SELECT positions FROM snapshots"):
                for partition, offset in json.loads(text).items():
                    number = int(partition)
                    needed[number] = min(offset, needed.get(number, offset))
            return needed

    def close(self) -> None:
        self._db.close()

    def _count(self, sql: str) -> int:
        return int(self._db.execute(sql).fetchall()[0][0])
