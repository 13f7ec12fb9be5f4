"""The way in: our MQTT endpoint, the log, and the worker between them."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from millrace import __version__
from millrace.adapters.accounts_sqlite import SqliteAccounts
from millrace.adapters.broker_endpoint import (
    EndpointAddresses,
    EndpointBroker,
    EndpointLimits,
    EndpointTls,
)
from millrace.adapters.clock_system import SystemClock
from millrace.adapters.log_sqlite import SqliteLog, SqliteLogReader
from millrace.errors import RetryError
from millrace.ingest.admit import Admission
from millrace.ingest.metrics import IngestMetrics
from millrace.ingest.worker import IngestWorker
from millrace.observe import Metrics
from millrace.serve.role_health import RoleHealth
from millrace.settings import Settings
from millrace.wiring import places
from millrace.wiring.middle import codecs


@dataclass(frozen=True, slots=True)
class EdgeParts:
    """What the ingest role runs."""

    settings: Settings
    broker: EndpointBroker
    log: SqliteLog
    worker: IngestWorker
    health: RoleHealth

    @property
    def listening(self) -> dict[str, str]:
        """Where devices come in, by protocol."""
        host, _ = places.endpoint_address(self.settings)
        return {name: f"{host}:{port}" for name, port in self.broker.ports.items()}

    async def keep_log(self) -> None:
        """Remove what retention no longer keeps and every reader has passed."""
        await asyncio.to_thread(self._retire)

    def _retire(self) -> None:
        with closing(SqliteAccounts(places.store_path(self.settings))) as accounts:
            needed = accounts.needed()
        chosen = self.settings.log
        self.log.retire(
            before_ns=SystemClock.now_ns() - chosen.retention_s * 1_000_000_000,
            max_bytes=chosen.retention_bytes,
            keep=[needed.get(partition, 0) for partition in range(self.log.partitions)],
        )


@contextmanager
def open_edge(settings: Settings) -> Iterator[EdgeParts]:
    """Open the log and build everything in front of it; nothing listens yet."""
    with ExitStack() as stack:
        folder = places.log_folder(settings)
        log = SqliteLog(folder, partitions=settings.log.partitions, stream=places.STREAM)
        stack.enter_context(closing(log))
        reader = stack.enter_context(closing(SqliteLogReader(folder)))
        broker = _endpoint(settings, log, reader)
        metrics = Metrics(["edge"], version=__version__)
        recorder = IngestMetrics(metrics.edge)
        worker = IngestWorker(
            broker,
            log,
            Admission(codecs(settings), log.partitions),
            clock=SystemClock(),
            observed=recorder.appended,
        )
        stack.callback(worker.close)
        recorder.watch(worker.counters, broker.counters, log)

        def check_log() -> None:
            if worker.counters.is_stalled:
                raise RetryError("the log does not take messages")

        health = RoleHealth(metrics, {"log": check_log}, before_scrape=recorder.refresh)
        yield EdgeParts(settings, broker, log, worker, health)


def _endpoint(settings: Settings, log: SqliteLog, reader: SqliteLogReader) -> EndpointBroker:
    chosen = settings.broker
    host, port = places.endpoint_address(settings)
    tls = None
    if chosen.tls_certificate and chosen.tls_key:
        client_ca = str(chosen.tls_client_ca) if chosen.tls_client_ca else None
        tls = EndpointTls(str(chosen.tls_certificate), str(chosen.tls_key), client_ca)
    limits = EndpointLimits(
        max_packet_bytes=chosen.max_packet_bytes,
        max_connections=chosen.max_connections,
        max_pending_bytes=chosen.max_pending_bytes,
        linger_s=chosen.linger_s,
    )
    addresses = EndpointAddresses(
        host, port, chosen.websocket_port, chosen.tls_port if tls else None, tls
    )
    return EndpointBroker(addresses, log.notes, clock=SystemClock(), reader=reader, limits=limits)
