"""What a database must give to be a store: the same parts, whichever system they come from.

Source: architecture.md 3.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from millrace.ports.accounts import Accounts
from millrace.ports.archive import ArchivePositions, Outcomes
from millrace.ports.fleet import Fleet
from millrace.ports.ledger import StoredHotReadings, StoredLedger
from millrace.ports.live import LiveRows
from millrace.ports.registry import Registry
from millrace.ports.sink import SinkProgress
from millrace.schema.tables import Tables
from millrace.settings import Settings


class ArchiveProgress(ArchivePositions, Outcomes, Protocol):
    """All that the archiver asks of the store."""


class Store(Protocol):
    """One open database. Thread-confined; what it gives is released with it."""

    def fleet(self) -> Fleet:
        """Return the registry as decoding sees it."""
        ...

    def registry(self) -> Registry:
        """Return the registry as the API reads it."""
        ...

    def accounts(self) -> Accounts:
        """Return the books of the ledger."""
        ...

    def live_rows(self) -> LiveRows:
        """Return the rows that serve follows."""
        ...

    def archive_progress(self) -> ArchiveProgress:
        """Return how far the archive has come."""
        ...

    def sink_progress(self, reader: str) -> SinkProgress:
        """Return how far a store beside the history has come."""
        ...

    def ledger(self) -> StoredLedger:
        """Return the writing end of the ledger."""
        ...

    def hot(self, *, writing: bool = False) -> StoredHotReadings:
        """Return the hot readings; who forgets what is sealed is `writing`."""
        ...


class StoreSystem(NamedTuple):
    """What one scheme of `store.url` stands for.

    `check` looks at the URL alone; `open_tables` is for writing. `migrate` says whether it did
    anything; `migrates` whether starting does it. `examine` says in a sentence that the database
    is sound, or raises.
    """

    open_store: Callable[[Settings], AbstractContextManager[Store]]
    open_tables: Callable[[Settings], Tables]
    check: Callable[[Settings], object]
    is_there: Callable[[Settings], bool]
    migrates: Callable[[Settings], bool]
    migrate: Callable[[Settings], bool]
    examine: Callable[[Settings], str]
