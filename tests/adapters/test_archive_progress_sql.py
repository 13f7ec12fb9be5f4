"""Archive progress in every database keeps the contract, and knows what is left out."""

import pytest

from millrace.adapters.accounts_sql import SqlAccounts
from millrace.adapters.archive_progress_sql import SqlArchiveProgress
from millrace.ports.archive import ArchivePositions
from tests.contracts.archive_positions import ArchivePositionsContract
from tests.servers.tables import Stored


class TestSqlArchiveProgress(ArchivePositionsContract):
    @pytest.fixture(autouse=True)
    def _store(self, stored: Stored) -> None:
        self._stored = stored

    def make_positions(self) -> ArchivePositions:
        return SqlArchiveProgress(self._stored.open(), stream="raw")


def test_mtr134_outcomes_come_from_the_ledger(stored: Stored) -> None:
    position = {"reader": "process", "stream": "raw", "partition_no": 0, "next_offset": 5}
    stored.insert("positions", position)
    for offset in (1, 3):
        stored.insert("not_stored", {"partition_no": 0, "log_offset": offset})
    progress = SqlArchiveProgress(stored.open(), stream="raw")
    assert progress.decided(0) == 5
    assert progress.not_stored(0, 0, 2) == {1}
    assert progress.not_stored(0, 0, 4) == {1, 3}


def test_f21_the_log_keeps_what_an_archive_has_only_taken_up(stored: Stored) -> None:
    stored.insert("positions", {"reader": "process", "stream": "raw", "partition_no": 0,
                                "next_offset": 900})  # fmt: skip
    SqlArchiveProgress(stored.open(), stream="raw").take_up(0, 12)
    assert SqlAccounts(stored.open()).needed() == {0: 12}


def test_the_books_are_one_view(stored: Stored) -> None:
    stored.insert("positions", {"reader": "process", "stream": "raw", "partition_no": 2,
                                "next_offset": 2**40})  # fmt: skip
    stored.insert("positions", {"reader": "archive", "stream": "raw", "partition_no": 2,
                                "next_offset": 7})  # fmt: skip
    stored.insert("snapshots", {"reader": "process", "kind": "middle", "version": 1,
                                "positions": '{"2": 9, "3": 1}'})  # fmt: skip
    stored.insert("counters", {"outcome": "stored", "family": "f2", "detail": "x", "count": 4})
    stored.insert("devices", {"device_id": "a", "device_name": "a", "registered": False,
                              "status": "discovered"})  # fmt: skip
    accounts = SqlAccounts(stored.open())
    account = accounts.read()
    assert account.outcomes == {("stored", "f2", "x"): 4}
    assert account.positions == {2: 2**40}
    assert (account.open_letters, account.devices, account.auto_devices) == (0, 1, 1)
    assert accounts.needed() == {2: 7, 3: 1}
