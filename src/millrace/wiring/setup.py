"""Before and beside the roles: the data folder, the books, the preview, the checks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from millrace.adapters.clock_system import SystemClock
from millrace.flow.balance import Balance, balance
from millrace.preview import Previewer
from millrace.settings import Settings
from millrace.wiring import stores
from millrace.wiring.logs import check_log_unused, open_log_reader
from millrace.wiring.middle import codecs


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


@contextmanager
def open_preview(settings: Settings) -> Iterator[Previewer]:
    """Open the registry for decoding single messages; without one, devices are unknown."""
    if not stores.is_there(settings):
        from millrace.adapters.fleet_memory import MemoryFleet

        yield Previewer(codecs(settings), MemoryFleet(), SystemClock())
        return
    with stores.open_store(settings) as store:
        yield Previewer(codecs(settings), store.fleet(), SystemClock())
