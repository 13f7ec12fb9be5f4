"""Before and beside the roles: the data folder, the books, the preview, the checks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from millrace.adapters.accounts_sqlite import SqliteAccounts
from millrace.adapters.clock_system import SystemClock
from millrace.adapters.fleet_sql import SqlFleet
from millrace.errors import StopError
from millrace.flow.balance import Balance, balance
from millrace.preview import Previewer
from millrace.settings import Settings
from millrace.store.seeding import seed
from millrace.store.sqlite import migrate, open_store
from millrace.wiring import places
from millrace.wiring.logs import check_log_unused, open_log_reader
from millrace.wiring.middle import codecs


def prepare(settings: Settings, *, demo: bool = False) -> None:
    """Make the data folder ready: schema, base rows, demo rows if asked for.

    Raises:
        StopError: The folder cannot be used.
    """
    path = places.store_path(settings)
    # Before anything else: a second core would take the positions of the first one over.
    check_log_unused(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        migrate(path)
    except OSError as error:
        raise StopError(
            f"the data folder {path.parent} cannot be written: {error.strerror}",
            "choose another one with --data, or correct its permissions",
        ) from error
    with closing(open_store(path)) as db:
        seed(db, "demo" if demo else "base", at_ns=SystemClock.now_ns())


@contextmanager
def open_books(settings: Settings) -> Iterator[Callable[[], Balance]]:
    """Open log and ledger for reading; the result reads the balance."""
    with ExitStack() as stack:
        accounts = SqliteAccounts(places.store_path(settings))
        stack.enter_context(closing(accounts))
        log = stack.enter_context(closing(open_log_reader(settings)))
        yield lambda: balance(log, accounts)


@contextmanager
def open_preview(settings: Settings) -> Iterator[Previewer]:
    """Open the registry for decoding single messages; without one, devices are unknown."""
    with ExitStack() as stack:
        path = places.store_path(settings)
        if not path.is_file():
            from millrace.adapters.fleet_memory import MemoryFleet

            yield Previewer(codecs(settings), MemoryFleet(), SystemClock())
            return
        fleet = stack.enter_context(closing(SqlFleet(path)))
        yield Previewer(codecs(settings), fleet, SystemClock())
