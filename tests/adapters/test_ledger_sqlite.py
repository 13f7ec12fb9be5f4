"""The SQLite ledger keeps the contract, and what only a file can promise."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from millrace.adapters.hot_sqlite import SqliteHotReadings
from millrace.adapters.ledger_sqlite import SqliteLedger
from millrace.ports.ledger import HotReadings, Ledger
from millrace.store.sqlite import migrate
from tests.contracts.ledger import LedgerContract


class TestSqliteLedger(LedgerContract):
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "millrace.db"
        migrate(path)
        return path

    @pytest.fixture
    def closing(self) -> Iterator[ExitStack]:
        with ExitStack() as stack:
            yield stack

    @pytest.fixture
    def open_ledger(self, path: Path, closing: ExitStack) -> Callable[[], Ledger]:
        def opened() -> Ledger:
            ledger = SqliteLedger(path)
            closing.callback(ledger.close)
            return ledger

        return opened

    @pytest.fixture(autouse=True)
    def _remember(self, path: Path, closing: ExitStack) -> None:
        self._path, self._closing = path, closing

    def hot(self, ledger: Ledger) -> HotReadings:
        hot = SqliteHotReadings(self._path, read_only=False)
        self._closing.callback(hot.close)
        return hot
