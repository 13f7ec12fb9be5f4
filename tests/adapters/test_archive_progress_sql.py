"""Archive progress in the SQLite store keeps the contract, and knows what is left out."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from millrace.adapters.archive_progress_sql import SqlArchiveProgress
from millrace.adapters.ledger_sqlite import SqliteLedger
from millrace.model.work import Advance
from millrace.ports.archive import ArchivePositions
from millrace.store.sqlite import migrate
from millrace.store.tables import open_tables
from tests.contracts.archive_positions import ArchivePositionsContract
from tests.contracts.ledger import effects


class TestSqlArchiveProgress(ArchivePositionsContract):
    @pytest.fixture(autouse=True)
    def _store(self, tmp_path: Path) -> Iterator[None]:
        self._path = tmp_path / "millrace.db"
        migrate(self._path)
        self._open: list[SqlArchiveProgress] = []
        yield
        for one in self._open:
            one.close()

    def make_positions(self) -> ArchivePositions:
        self._open.append(
            SqlArchiveProgress(open_tables(self._path, read_only=False), stream="raw")
        )
        return self._open[-1]

    def test_mtr134_outcomes_come_from_the_ledger(self) -> None:
        with closing(SqliteLedger(self._path)) as ledger:
            ledger.claim("process", "raw", [0])
            work = effects(Advance(0, 0, 5))
            work.not_stored = [(0, 1), (0, 3)]
            ledger.commit(work)
        progress = SqlArchiveProgress(open_tables(self._path, read_only=False), stream="raw")
        self._open.append(progress)
        assert progress.decided(0) == 5
        assert progress.not_stored(0, 0, 2) == {1}
        assert progress.not_stored(0, 0, 4) == {1, 3}
