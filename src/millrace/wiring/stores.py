"""Which store: the scheme of `store.url` to everything that one database holds.

Fleet, registry, ledger with hot readings, books, archive positions and the rows that serve follows
are in one database, so that effects and positions are one transaction.
Source: architecture.md 3, REG-003, D-20.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from millrace.settings import Settings
from millrace.wiring.store_system import Store, StoreSystem
from millrace.wiring.urls import known


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


def is_there(settings: Settings) -> bool:
    """Return whether there is a database to ask, without opening it."""
    return _system(settings).is_there(settings)


def prepare(settings: Settings, kind: str) -> None:
    """Bring the schema to this release, and put in the seeded rows of a kind that are absent.

    Raises:
        StopError: The database cannot be used.
    """
    _system(settings).prepare(settings, kind)


def examine(settings: Settings) -> str:
    """Return in a sentence that the database is sound. Raises: StopError, RetryError."""
    return _system(settings).examine(settings)


def _system(settings: Settings) -> StoreSystem:
    known("store.url", str(settings.urls()["store"]), "sqlite")
    from millrace.wiring.stores_sqlite import SYSTEM

    return SYSTEM
