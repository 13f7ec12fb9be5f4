"""The books of the ledger on SQLite, read only."""

import json
from pathlib import Path

from millrace.ports.accounts import Account
from millrace.store.questions import answers, number
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
                number(self._db, "SELECT count(*) FROM dead_letters WHERE status = 'open'"),
                number(self._db, "SELECT count(*) FROM devices"),
                number(self._db, "SELECT count(*) FROM devices WHERE NOT registered"),
            )

    def needed(self) -> dict[int, int]:
        with reading(self._db):
            positions = answers(
                self._db,
                "SELECT partition_no, min(next_offset) FROM positions GROUP BY partition_no",
            )
            needed = {int(partition): int(offset) for partition, offset in positions}
            for (text,) in self._db.execute("SELECT positions FROM snapshots"):
                for name, offset in json.loads(str(text)).items():
                    partition = int(name)
                    needed[partition] = min(offset, needed.get(partition, offset))
            return needed

    def close(self) -> None:
        self._db.close()
