"""The store in a PostgreSQL database; each adapter has a connection of its own.

Many processes share a server through PgBouncer, which may pool by transaction.
Source: REG-002 to REG-004, architecture.md 5.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Final

from millrace.adapters.accounts_sql import SqlAccounts
from millrace.adapters.archive_progress_sql import SqlArchiveProgress
from millrace.adapters.fleet_sql import SqlFleet
from millrace.adapters.live_sql import SqlLiveRows
from millrace.adapters.registry_sql import SqlRegistry
from millrace.adapters.sink_progress_sql import SqlSinkProgress
from millrace.errors import StopError, UsageError
from millrace.ports.ledger import StoredHotReadings, StoredLedger
from millrace.settings import Settings
from millrace.store_postgres.layout import prepare_readings
from millrace.store_postgres.migrations import migrate, require_ready
from millrace.store_postgres.place import place_url
from millrace.store_postgres.session import Session
from millrace.store_postgres.tables import PostgresTables
from millrace.wiring import places
from millrace.wiring.series_urls import has_rows
from millrace.wiring.store_system import StoreSystem
from millrace.wiring.urls import without_secret


class PostgresStore:
    """See `wiring.stores.Store`."""

    def __init__(self, url: str, stack: ExitStack, *, has_rows: bool) -> None:
        self._url = url
        self._stack = stack
        self._has_rows = has_rows

    def fleet(self) -> SqlFleet:
        return SqlFleet(self._tables("fleet"))

    def registry(self) -> SqlRegistry:
        return SqlRegistry(self._tables("registry"))

    def accounts(self) -> SqlAccounts:
        return SqlAccounts(self._tables("accounts"))

    def live_rows(self) -> SqlLiveRows:
        return SqlLiveRows(self._tables("live"))

    def archive_progress(self) -> SqlArchiveProgress:
        return SqlArchiveProgress(self._tables("archive"), stream=places.STREAM)

    def sink_progress(self, reader: str) -> SqlSinkProgress:
        return SqlSinkProgress(self._tables("copies"), reader=reader)

    def ledger(self) -> StoredLedger:
        # Only the pump pays for what packs readings.
        from millrace.adapters.ledger_postgres import PostgresLedger

        ledger = PostgresLedger(self._url, has_rows=self._has_rows)
        return self._stack.enter_context(closing(ledger))

    def hot(self, *, writing: bool = False) -> StoredHotReadings:
        from millrace.adapters.hot_postgres import PostgresHotReadings

        return self._stack.enter_context(closing(PostgresHotReadings(self._url)))

    def _tables(self, purpose: str) -> PostgresTables:
        tables = PostgresTables(self._url, name=f"millrace-{purpose}")
        return self._stack.enter_context(closing(tables))


def store_url(settings: Settings) -> str:
    """Return where the database is, with the password of its file.

    Raises:
        UsageError: The URL or the file of the password is wrong.
    """
    chosen = settings.store
    url = without_secret("store.url", chosen.url, "write it into store.password_file")
    return place_url(url, password=_password(settings))


def _password(settings: Settings) -> str | None:
    path = settings.store.password_file
    if path is None:
        return None
    try:
        return path.read_text().strip()
    except OSError as error:
        raise UsageError(f"store.password_file: {path}: {error.strerror}") from error


@contextmanager
def _open_store(settings: Settings) -> Iterator[PostgresStore]:
    url = store_url(settings)
    require_ready(url)
    with ExitStack() as stack:
        yield PostgresStore(url, stack, has_rows=has_rows(settings))


def _open_tables(settings: Settings) -> PostgresTables:
    url = store_url(settings)
    require_ready(url)
    return PostgresTables(url)


def _migrate(settings: Settings) -> bool:
    url = store_url(settings)
    is_done = migrate(url, legacy_schema=settings.store.legacy_schema)
    with closing(Session(url, name="millrace-migrate")) as session, session.transaction() as db:
        prepare_readings(db)
    return is_done


def _examine(settings: Settings) -> str:
    url = store_url(settings)
    require_ready(url)
    with closing(PostgresTables(url)) as tables, tables.reading() as asked:
        [(version, syncs)] = asked.rows(
            "SELECT current_setting('server_version'), current_setting('fsync')"
        )
    if syncs != "on":
        raise StopError(
            "the database does not wait for its disk (fsync is off)",
            "set fsync = on in postgresql.conf; what is acknowledged would be lost with the power",
        )
    return f"PostgreSQL {version} has the schema of this release and takes writes"


SYSTEM: Final = StoreSystem(
    open_store=_open_store,
    open_tables=_open_tables,
    check=store_url,
    is_there=lambda _: True,
    migrates=lambda settings: settings.store.migrate,
    migrate=_migrate,
    examine=_examine,
)
