"""The memory ledger keeps the contract."""

from collections.abc import Callable

import pytest

from millrace.adapters.ledger_memory import LedgerBooks, MemoryLedger
from millrace.ports.ledger import HotReadings, Ledger
from tests.contracts.ledger import LedgerContract


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def open_ledger(self) -> Callable[[], Ledger]:
        books = LedgerBooks()
        return lambda: MemoryLedger(books)

    def hot(self, ledger: Ledger) -> HotReadings:
        assert isinstance(ledger, MemoryLedger)
        return ledger
