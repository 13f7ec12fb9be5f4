"""The way in: brokers, the log, and a worker for each broker between them."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass

from millrace import __version__
from millrace.adapters.clock_system import SystemClock
from millrace.errors import RetryError
from millrace.ingest.admit import Admission
from millrace.ingest.metrics import IngestMetrics
from millrace.ingest.worker import IngestWorker
from millrace.observe import Metrics
from millrace.ports.log import Log
from millrace.serve.role_health import RoleHealth
from millrace.settings import Settings
from millrace.wiring import places
from millrace.wiring.brokers import Link, open_links
from millrace.wiring.families import codecs
from millrace.wiring.logs import counted_under, is_outside, open_log, open_log_reader, size_bytes
from millrace.wiring.stores import open_store


@dataclass(frozen=True, slots=True)
class EdgeParts:
    """What the ingest role runs: a worker for each link."""

    settings: Settings
    log: Log
    links: list[Link]
    workers: list[IngestWorker]
    metrics: Metrics
    recorder: IngestMetrics

    @property
    def listening(self) -> dict[str, str]:
        """Where devices come in, by protocol."""
        host, _ = places.broker_address(places.broker_urls(self.settings)[0])
        ports = [port for link in self.links for port in link.listening.items()]
        return {name: f"{host}:{port}" for name, port in ports}

    def health(self) -> RoleHealth:
        """Return health and metrics of the role."""
        return RoleHealth(
            self.metrics,
            {"log": self._check_log, "mqtt": self._check_links},
            before_scrape=self._refresh,
        )

    async def keep_log(self) -> None:
        """Remove what retention no longer keeps and every reader has passed.

        Where the store is away nothing is removed; Kafka removes by itself.
        """
        if not is_outside(self.settings):
            with suppress(RetryError):
                await asyncio.to_thread(self._retire)

    def _check_log(self) -> None:
        if any(worker.counters.is_stalled for worker in self.workers):
            raise RetryError("the log does not take messages")

    def _check_links(self) -> None:
        down = [link.name for link in self.links if not link.is_up()]
        if down:
            raise RetryError(f"no session with {', '.join(down)}")

    def _refresh(self) -> None:
        self.recorder.sized(size_bytes(self.settings))
        pairs = zip(self.links, self.workers, strict=True)
        self.recorder.refresh((link.state, worker.counters) for link, worker in pairs)

    def _retire(self) -> None:
        with open_store(self.settings) as store:
            needed = store.accounts().needed()
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
        log = stack.enter_context(closing(open_log(settings)))
        reader = stack.enter_context(closing(open_log_reader(settings)))
        links = open_links(settings, log, reader)
        metrics = Metrics(["edge"], version=__version__)
        recorder = IngestMetrics(metrics.edge, log)
        families = codecs(settings)
        workers = [
            IngestWorker(
                link.broker,
                log,
                Admission(families, log.partitions),
                clock=SystemClock(),
                link=counted_under(settings, link.name),
                observer=recorder,
            )
            for link in links
        ]
        for worker in workers:
            stack.callback(worker.close)
        yield EdgeParts(settings, log, links, workers, metrics, recorder)
