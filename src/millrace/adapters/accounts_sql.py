"""The books of the ledger, read only.

Offsets are kept as 64-bit integers; snapshots name theirs in JSON.
"""

import json
from typing import Final

from millrace.ports.accounts import Account
from millrace.schema.tables import Questions, Tables

_ONLINE: Final = "SELECT count(*) FROM devices WHERE connection_status = 'online'"
_SNAPSHOTS: Final = "SELECT positions FROM snapshots WHERE kind = 'middle'"


class SqlAccounts:
    """See `ports.accounts.Accounts`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def read(self, reader: str = "process") -> Account:
        with self._tables.reading() as asked:
            outcomes = asked.rows("SELECT outcome, family, detail, count FROM counters")
            positions = asked.rows(
                "SELECT partition_no, next_offset FROM positions WHERE reader = :reader",
                reader=reader,
            )
            return Account(
                {(outcome, family, detail): n for outcome, family, detail, n in outcomes},
                dict(positions),
                _number(asked, "SELECT count(*) FROM dead_letters WHERE status = 'open'"),
                _number(asked, "SELECT count(*) FROM devices"),
                _number(asked, "SELECT count(*) FROM devices WHERE NOT registered"),
                _number(asked, _ONLINE),
                _number(asked, "SELECT count(*) FROM device_alerts WHERE status = 'open'"),
                _name(asked),
            )

    def needed(self) -> dict[int, int]:
        with self._tables.reading() as asked:
            positions = asked.rows(
                "SELECT partition_no, min(next_offset) FROM positions"
                " WHERE stream <> 'hot_batches' GROUP BY partition_no"
            )
            snapshots = asked.rows(_SNAPSHOTS)
        needed = {int(partition): int(offset) for partition, offset in positions}
        for (text,) in snapshots:
            for name, offset in json.loads(text).items():
                partition = int(name)
                needed[partition] = min(offset, needed.get(partition, offset))
        return needed

    def close(self) -> None:
        self._tables.close()


def _number(asked: Questions, query: str) -> int:
    return int(asked.rows(query)[0][0])


def _name(asked: Questions) -> str:
    """Return when the oldest seeded row was made, as digits; '' without any."""
    made = asked.rows("SELECT min(created_at) FROM alert_rules")[0][0]
    return "".join(filter(str.isdigit, str(made)))
