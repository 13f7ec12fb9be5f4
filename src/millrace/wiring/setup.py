"""Before and beside the roles: the data folder, the log, the books.

`millrace up` does this while its processes load what they need, so it imports little.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from millrace.flow.balance import Balance, balance
from millrace.settings import Settings
from millrace.wiring import stores
from millrace.wiring.logs import check_log_unused, open_log_reader


def prepare(settings: Settings, *, demo: bool = False) -> None:
    """Make the data folder ready: schema, base rows, demo rows if asked for.

    Raises:
        StopError: The folder cannot be used.
    """
    # Before anything else: a second core would take the positions of the first one over.
    check_log_unused(settings)
    stores.prepare(settings, "demo" if demo else "base")


@contextmanager
def open_books(settings: Settings) -> Iterator[Callable[[], Balance]]:
    """Open log and ledger for reading; the result reads the balance."""
    with ExitStack() as stack:
        accounts = stack.enter_context(stores.open_store(settings)).accounts()
        log = stack.enter_context(closing(open_log_reader(settings)))
        yield lambda: balance(log, accounts)
