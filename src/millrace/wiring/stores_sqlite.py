"""The store in one SQLite file; each adapter has a connection of its own.

Source: D-20.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

from millrace.adapters.accounts_sql import SqlAccounts
from millrace.adapters.archive_progress_sql import SqlArchiveProgress
from millrace.adapters.fleet_sql import SqlFleet
from millrace.adapters.hot_sqlite import SqliteHotReadings
from millrace.adapters.live_sql import SqlLiveRows
from millrace.adapters.registry_sql import SqlRegistry
from millrace.adapters.sink_progress_sql import SqlSinkProgress
from millrace.errors import StopError
from millrace.ports.ledger import StoredLedger
from millrace.settings import Settings
from millrace.store.sqlite import migrate, open_store, reading
from millrace.store.tables import SqliteTables, open_tables
from millrace.wiring import places
from millrace.wiring.store_system import StoreSystem


class SqliteStore:
    """See `wiring.stores.Store`."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path = path
        self._stack = stack

    def fleet(self) -> SqlFleet:
        return SqlFleet(self._tables())

    def registry(self) -> SqlRegistry:
        return SqlRegistry(self._tables())

    def accounts(self) -> SqlAccounts:
        return SqlAccounts(self._tables())

    def live_rows(self) -> SqlLiveRows:
        return SqlLiveRows(self._tables())

    def archive_progress(self) -> SqlArchiveProgress:
        return SqlArchiveProgress(self._tables(read_only=False), stream=places.STREAM)

    def sink_progress(self, reader: str) -> SqlSinkProgress:
        return SqlSinkProgress(self._tables(read_only=False), reader=reader)

    def ledger(self) -> StoredLedger:
        # Only the pump pays for what packs readings.
        from millrace.adapters.ledger_sqlite import SqliteLedger

        return self._stack.enter_context(closing(SqliteLedger(self._path)))

    def hot(self, *, writing: bool = False) -> SqliteHotReadings:
        hot = SqliteHotReadings(self._path, read_only=not writing)
        return self._stack.enter_context(closing(hot))

    def _tables(self, *, read_only: bool = True) -> SqliteTables:
        tables = open_tables(self._path, read_only=read_only)
        return self._stack.enter_context(closing(tables))


@contextmanager
def open_file(path: Path) -> Iterator[SqliteStore]:
    """Open a database file. Raises: StopError, RetryError."""
    with ExitStack() as stack:
        yield SqliteStore(path, stack)


def migrate_file(path: Path) -> bool:
    """Make a database file, or bring it to this release; return whether anything was done.

    Raises:
        StopError: It cannot be written, or is of a release that this one does not know.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return migrate(path)
    except OSError as error:
        raise StopError(
            f"the data folder {path.parent} cannot be written: {error.strerror}",
            "choose another one with --data, or correct its permissions",
        ) from error


def _examine(settings: Settings) -> str:
    path = places.store_path(settings)
    with closing(open_store(path, read_only=True)) as db, reading(db):
        verdict = str(db.pragma("quick_check"))
    if verdict != "ok":
        raise StopError(f"{path} is damaged: {verdict}", "restore it from a backup")
    return f"{path} is sound"


SYSTEM: Final = StoreSystem(
    open_store=lambda settings: open_file(places.store_path(settings)),
    open_tables=lambda settings: open_tables(places.store_path(settings), read_only=False),
    check=places.store_path,
    is_there=lambda settings: places.store_path(settings).is_file(),
    migrates=lambda _: True,
    migrate=lambda settings: migrate_file(places.store_path(settings)),
    examine=_examine,
)
