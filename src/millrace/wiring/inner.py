"""The middle and the keeper of history: pump, ledger, sealed series, archive."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from millrace import __version__
from millrace.adapters.clock_system import SystemClock
from millrace.flow.balance import balance
from millrace.flow.pump import Pump
from millrace.flow.pump_metrics import PumpMetrics
from millrace.observe import Metrics
from millrace.ports.ledger import HotBatch, HotReadings
from millrace.serve.role_health import RoleHealth
from millrace.settings import Settings
from millrace.wiring import places
from millrace.wiring.logs import open_log_reader
from millrace.wiring.middle import build_middle
from millrace.wiring.stores import open_store


def core_metrics() -> Metrics:
    """Return the metrics of the core process."""
    return Metrics(["core"], version=__version__)


@contextmanager
def open_pump(settings: Settings, metrics: Metrics) -> Iterator[Pump]:
    """Open the pump, with its state restored; for the thread that runs it."""
    with ExitStack() as stack:
        log = stack.enter_context(closing(open_log_reader(settings)))
        store = stack.enter_context(open_store(settings))
        ledger, hot = store.ledger(), store.hot()
        account = store.accounts().read()
        recorder = PumpMetrics(metrics.core)
        recorder.resume(account.outcomes)
        pump = Pump(
            log=log,
            ledger=ledger,
            fleet=store.fleet(),
            middle=build_middle(settings, auto_devices=account.auto_devices),
            clock=SystemClock(),
            stream=places.STREAM,
            observed=recorder.committed,
        )
        latest = ledger.latest_pages()
        pump.start(latest, _after(latest[0], hot))
        yield pump


def _after(through_id: int, hot: HotReadings) -> Iterator[HotBatch]:
    """Yield the hot batches behind an id, a few at a time."""
    while found := hot.hot(through_id, 100):
        yield from found
        through_id = found[-1].id


@contextmanager
def open_health(
    settings: Settings, metrics: Metrics, check: Callable[[], None]
) -> Iterator[RoleHealth]:
    """Build the health of the core; `check` raises while the pump does not run."""
    with ExitStack() as stack:
        log = stack.enter_context(closing(open_log_reader(settings)))
        accounts = stack.enter_context(open_store(settings)).accounts()
        recorder = PumpMetrics(metrics.core)
        yield RoleHealth(
            metrics,
            {"metadata": check},
            before_scrape=lambda: recorder.balanced(balance(log, accounts)),
        )
