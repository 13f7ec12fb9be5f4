"""Before and beside the roles: the data folder, the books, the preview, the checks."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from millrace.adapters.accounts_sqlite import SqliteAccounts
from millrace.adapters.clock_system import SystemClock
from millrace.adapters.fleet_sql import SqlFleet
from millrace.adapters.log_sqlite import SqliteLogReader, check_unused
from millrace.errors import RetryError, StopError
from millrace.flow.balance import Balance, balance
from millrace.preview import Previewer
from millrace.settings import Settings
from millrace.store.seeding import seed
from millrace.store.sqlite import migrate, open_store
from millrace.wiring import places
from millrace.wiring.middle import codecs

LOG_PATIENCE_S = 30.0
LOG_POLL_S = 0.02


def prepare(settings: Settings, *, demo: bool = False) -> None:
    """Make the data folder ready: schema, base rows, demo rows if asked for.

    Raises:
        StopError: The folder cannot be used.
    """
    path = places.store_path(settings)
    # Before anything else: a second core would take the positions of the first one over.
    check_unused(places.log_folder(settings))
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


def open_log_reader(settings: Settings) -> SqliteLogReader:
    """Open the log for reading.

    Raises:
        StopError: There is none yet.
    """
    folder = places.log_folder(settings)
    try:
        return SqliteLogReader(folder)
    except RetryError as error:
        raise StopError(
            f"there is no log in {folder}", "start with `millrace up`, which makes it"
        ) from error


async def log_is_there(settings: Settings, over: asyncio.Event) -> None:
    """Wait until the role ingest has made the log; roles may start in any order.

    Raises:
        StopError: There is none after `LOG_PATIENCE_S`.
    """
    deadline = SystemClock.steady_s() + LOG_PATIENCE_S
    while True:
        try:
            open_log_reader(settings).close()
        except StopError:
            if over.is_set() or SystemClock.steady_s() > deadline:
                raise
            await asyncio.sleep(LOG_POLL_S)
        else:
            return


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
