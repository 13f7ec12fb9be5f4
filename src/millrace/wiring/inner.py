"""The middle and the keeper of history: pump, ledger, sealed series, archive."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from threading import Event
from typing import Final

from millrace import __version__
from millrace.adapters.clock_system import SystemClock
from millrace.flow.balance import balance, lags
from millrace.flow.pump import Pump, PumpLimits
from millrace.flow.pump_metrics import PumpMetrics
from millrace.flow.sharing import OpenPump, pump_our_share
from millrace.observe import Metrics
from millrace.ports.ledger import HotBatch, HotReadings
from millrace.serve.role_health import RoleHealth
from millrace.settings import Settings
from millrace.wiring import lives, logs, places
from millrace.wiring.logs import open_log_reader, open_membership
from millrace.wiring.middle import build_middle
from millrace.wiring.stores import open_store

DECODE: Final = "decode"


def core_metrics() -> Metrics:
    """Return the metrics of the core process."""
    return Metrics(["core"], version=__version__)


def run_pump(
    settings: Settings, role: str, metrics: Metrics, stop: Event, *, ready: Callable[[], object]
) -> None:
    """Pump this process's share of the log in a role, until `stop` is set.

    Raises:
        StopError: The role cannot go on.
        RetryError: Something is away at the first start.
    """
    is_decode = role == DECODE
    opener = publisher_opener(settings, metrics) if is_decode else pump_opener(settings, metrics)
    with closing(open_membership(settings, role)) as membership:
        pump_our_share(membership, opener, stop, ready=ready)


def pump_opener(settings: Settings, metrics: Metrics) -> OpenPump:
    """Return how to open a pump; whoever shares the log does so again when its share changes."""
    return partial(open_pump, settings, metrics, PumpMetrics(metrics.core))


@contextmanager
def open_pump(
    settings: Settings, metrics: Metrics, recorder: PumpMetrics, partitions: Sequence[int]
) -> Iterator[Pump]:
    """Open a pump over some partitions, with its state restored; for the thread that runs it."""
    with ExitStack() as stack:
        log = stack.enter_context(closing(open_log_reader(settings)))
        store = stack.enter_context(open_store(settings))
        ledger, hot = store.ledger(), store.hot()
        account = store.accounts().read()
        fleet = stack.enter_context(lives.open_fleet(settings, store, metrics))
        if not settings.kafka.instance:
            recorder.resume(account.outcomes)  # one of several counts what it does itself
        pump = Pump(
            log=log,
            ledger=ledger,
            fleet=fleet,
            middle=build_middle(
                settings, partitions=log.partitions, auto_devices=account.auto_devices
            ),
            clock=SystemClock(),
            stream=places.STREAM,
            limits=_limits(settings),
            observed=recorder.committed,
        )
        latest = ledger.latest_pages()
        pump.start(latest, _after(latest[0], hot), partitions=partitions)
        yield pump


def publisher_opener(settings: Settings, metrics: Metrics) -> OpenPump:
    """Return how to open a pump that decodes for consumers of others."""
    return partial(open_publisher, settings, metrics)


@contextmanager
def open_publisher(
    settings: Settings, metrics: Metrics, partitions: Sequence[int]
) -> Iterator[Pump]:
    """Open such a pump over some partitions; for the thread that runs it."""
    from millrace.wiring.publisher import build_publisher

    with ExitStack() as stack:
        log = stack.enter_context(closing(open_log_reader(settings)))
        stream = stack.enter_context(closing(logs.open_public_stream(settings)))
        store = stack.enter_context(open_store(settings))
        pump = Pump(
            log=log,
            ledger=store.ledger(),
            fleet=stack.enter_context(lives.open_fleet(settings, store, metrics)),
            middle=build_publisher(settings, stream),
            clock=SystemClock(),
            reader=DECODE,
            stream=places.STREAM,
            limits=_limits(settings),
        )
        pump.start(partitions=partitions)
        yield pump


def _limits(settings: Settings) -> PumpLimits:
    """Return how the log is read: one far away is not asked a hundred times a second."""
    poll_s = 0.04 if logs.is_outside(settings) else 0.01
    return PumpLimits(poll_s=poll_s, redelivery_s=settings.meter.redelivery_s)


def _after(through_id: int, hot: HotReadings) -> Iterator[HotBatch]:
    """Yield the hot batches behind an id, a few at a time."""
    while found := hot.hot(through_id, 100):
        yield from found
        through_id = found[-1].id


@contextmanager
def open_health(
    settings: Settings, metrics: Metrics, check: Callable[[], None], reader: str = "process"
) -> Iterator[RoleHealth]:
    """Build the health of a role with a pump; `check` raises while the pump does not run."""
    with ExitStack() as stack:
        log = stack.enter_context(closing(open_log_reader(settings)))
        accounts = stack.enter_context(open_store(settings)).accounts()
        recorder = PumpMetrics(metrics.core)

        def refresh() -> None:
            if reader != DECODE:
                recorder.balanced(balance(log, accounts))
            recorder.lagging(reader, lags(log, accounts, reader, now_ns=SystemClock.now_ns()))

        yield RoleHealth(metrics, {"metadata": check}, before_scrape=refresh, waits_outside=True)
