"""Which store: the scheme of `store.url` to everything that one database holds.

Fleet, registry, ledger with hot readings, books, archive positions and the rows that serve follows
are in one database, so that effects and positions are one transaction.
Source: architecture.md 3, REG-003, D-20.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec

from millrace.adapters.clock_system import SystemClock
from millrace.errors import UsageError
from millrace.settings import Settings
from millrace.store.seeding import seed
from millrace.wiring.store_system import Store, StoreSystem
from millrace.wiring.urls import known, scheme_of


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """Open the database, for the thread that asks it.

    Raises:
        StopError: It is not there, or its schema is not the one that this release needs.
        RetryError: It is away or busy.
    """
    with _system(settings).open_store(settings) as store:
        yield store


def check(settings: Settings) -> None:
    """Raise UsageError when `store.url` cannot be right."""
    _system(settings).check(settings)


def is_outside(settings: Settings) -> bool:
    """Return whether the database is a system of its own, which somebody else runs."""
    return scheme_of(str(settings.urls()["store"])) != "sqlite"


def is_there(settings: Settings) -> bool:
    """Return whether there is a database to ask, without opening it."""
    return _system(settings).is_there(settings)


def prepare(settings: Settings, kind: str) -> None:
    """Make the database ready to start with, and put in the seeded rows of a kind that are absent.

    Raises:
        StopError: It cannot be used, or its schema is older and nobody asked to migrate it.
    """
    system = _system(settings)
    if system.migrates(settings):
        system.migrate(settings)
    _seed(system, settings, kind)


def migrate(settings: Settings) -> bool:
    """Bring the schema to this release, with its base rows; return whether anything was done.

    Raises:
        StopError: The database cannot be used, or is of a release that this one does not know.
    """
    system = _system(settings)
    is_done = system.migrate(settings)
    _seed(system, settings, "base")
    return is_done


def examine(settings: Settings) -> str:
    """Return in a sentence that the database is sound. Raises: StopError, RetryError."""
    return _system(settings).examine(settings)


def _seed(system: StoreSystem, settings: Settings, kind: str) -> None:
    with closing(system.open_tables(settings)) as tables:
        seed(tables, kind, at_ns=SystemClock.now_ns())


def _system(settings: Settings) -> StoreSystem:
    scheme = known("store.url", str(settings.urls()["store"]), "sqlite", "postgresql")
    # Each brings its own client library, and only one of them is needed.
    if scheme == "postgresql":
        if find_spec("psycopg") is None:
            raise UsageError(
                "store.url: the client of PostgreSQL is not installed",
                "install millrace with the extra `postgres`",
            )
        from millrace.wiring.stores_postgres import SYSTEM as POSTGRES

        return POSTGRES
    from millrace.wiring.stores_sqlite import SYSTEM as SQLITE

    return SQLITE
