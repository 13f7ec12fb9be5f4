"""Settings to running parts, role by role; `app` starts and ends what is built here.

Everything that is opened is closed by the context that opened it, in reverse order.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from millrace import __version__
from millrace.errors import RetryError, StopError
from millrace.flow.balance import Balance, balance
from millrace.flow.pump import Pump
from millrace.flow.pump_metrics import PumpMetrics
from millrace.ingest.admit import Admission
from millrace.ingest.metrics import IngestMetrics
from millrace.ingest.worker import IngestWorker
from millrace.observe import Metrics
from millrace.ports.broker import Broker
from millrace.ports.log import Log, LogReader
from millrace.serve.role_health import RoleHealth
from millrace.serve.server import serve_http
from millrace.settings import Settings
from millrace.wiring import adapters
from millrace.wiring.middle import build_middle, codecs

# Ports of health and metrics, from `monitor.base_port` on (D-57).
PLACES = ("ingest", "process", "decode", "store", "tend", "alert", "command", "serve", "monitor")


@dataclass(slots=True)
class IngestParts:
    """What the ingest role runs."""

    settings: Settings
    broker: Broker
    log: Log
    worker: IngestWorker
    health: RoleHealth
    metrics: IngestMetrics

    @property
    def listening(self) -> dict[str, str]:
        """Where devices can come in, by name."""
        host, _ = adapters.endpoint_address(self.settings)
        ports: Mapping[str, int] = getattr(self.broker, "ports", {})
        return {name: f"{host}:{port}" for name, port in ports.items()}

    async def keep_log(self) -> None:
        """Remove what retention no longer keeps, behind every reader."""
        await asyncio.to_thread(self._retire)

    def _retire(self) -> None:
        with closing(adapters.accounts(self.settings)) as accounts:
            kept = accounts.kept()
        chosen = self.settings.log
        self.log.retire(
            before_ns=adapters.clock().now_ns() - chosen.retention_s * 1_000_000_000,
            max_bytes=chosen.retention_bytes,
            keep=[kept.get(partition, 0) for partition in range(self.log.partitions)],
        )


@contextmanager
def ingest(settings: Settings) -> Iterator[IngestParts]:
    """Build the ingest role."""
    with ExitStack() as stack:
        log = stack.enter_context(closing(adapters.log(settings)))
        broker = adapters.broker(settings, log)
        metrics = Metrics(["edge"], version=__version__)
        recorder = IngestMetrics(metrics.edge)
        worker = IngestWorker(
            broker,
            log,
            Admission(codecs(settings), log.partitions),
            clock=adapters.clock(),
            observed=recorder.appended,
        )
        stack.callback(worker.close)
        recorder.watch(worker.counters, broker.counters, log)

        def check_log() -> None:
            if worker.counters.is_stalled:
                raise RetryError("the log does not take messages")

        health = RoleHealth(metrics, {"log": check_log}, before_scrape=recorder.refresh)
        yield IngestParts(settings, broker, log, worker, health, recorder)


@contextmanager
def pump(settings: Settings, metrics: Metrics) -> Iterator[Pump]:
    """Build the pump; for the thread that runs it."""
    with ExitStack() as stack:
        log = stack.enter_context(closing(_reader_when_there(settings)))
        ledger = stack.enter_context(closing(adapters.ledger(settings)))
        fleet = stack.enter_context(closing(adapters.fleet(settings)))
        accounts = stack.enter_context(closing(adapters.accounts(settings)))
        recorder = PumpMetrics(metrics.core)
        recorder.resume(accounts.read().outcomes)
        built = Pump(
            log=log,
            ledger=ledger,
            fleet=fleet,
            middle=build_middle(settings),
            clock=adapters.clock(),
            stream=adapters.STREAM,
            observed=recorder.committed,
        )
        built.start(ledger.latest_pages())
        yield built


@contextmanager
def books(settings: Settings) -> Iterator[Callable[[], Balance]]:
    """Open log and ledger for reading; the result reads the balance."""
    with ExitStack() as stack:
        log = stack.enter_context(closing(_reader_when_there(settings)))
        accounts = stack.enter_context(closing(adapters.accounts(settings)))
        yield lambda: balance(log, accounts)


async def serve_health(
    health: RoleHealth, settings: Settings, role: str, over: asyncio.Event, said: Callable[[str], None]
) -> None:
    """Serve health and metrics of a role until `over`; any free port when its own is taken."""
    host, base = settings.monitor.host, settings.monitor.base_port
    port = base + PLACES.index(role) if base else 0
    try:
        await serve_http(health, host, port, over=over, ready=said)
    except StopError:
        await serve_http(health, host, 0, over=over, ready=said)


def _reader_when_there(settings: Settings) -> LogReader:
    try:
        return adapters.log_reader(settings)
    except RetryError as error:
        raise StopError(
            f"there is no log in {adapters.log_folder(settings)}",
            "start with `millrace up`, which makes it",
        ) from error


def prepare(settings: Settings, *, demo: bool = False) -> None:
    """Make the data folder and its database ready: schema, base rows, demo rows if asked for."""
    from millrace.store.seeding import seed
    from millrace.store.sqlite import migrate, open_store

    path = adapters.store_path(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        migrate(path)
    except OSError as error:
        raise StopError(
            f"the data folder {path.parent} cannot be written: {error.strerror}",
            "choose another one with --data, or correct its permissions",
        ) from error
    with closing(open_store(path)) as db:
        seed(db, "demo" if demo else "base", at_ns=adapters.clock().now_ns())


