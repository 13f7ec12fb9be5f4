"""What ingest shows of itself. Source: MON-101, MON-106, MON-110 to MON-124."""

from collections import Counter
from typing import Protocol

from millrace.ingest.admit import Label
from millrace.ingest.worker import IngestCounters
from millrace.observe.metrics import CATEGORIES, FAMILIES, EdgeMetrics, allowed
from millrace.ports.log import Log


class BrokerCounters(Protocol):
    """The plain counters of a broker adapter."""

    clients: int
    auth_failures: int
    denied: int
    paused: int


class IngestMetrics:
    """Feeds the edge's metrics: histograms at each append, the rest at each scrape."""

    def __init__(self, metrics: EdgeMetrics) -> None:
        self._metrics = metrics
        self._shown: Counter[tuple[str, ...]] = Counter()
        self._counters: IngestCounters | None = None
        self._broker: BrokerCounters | None = None
        self._log: Log | None = None

    def watch(self, counters: IngestCounters, broker: BrokerCounters, log: Log) -> None:
        """Say where the numbers come from."""
        self._counters, self._broker, self._log = counters, broker, log

    def appended(self, messages: int, seconds: float) -> None:
        """Take in one append."""
        self._metrics.append_duration.observe(seconds)
        self._metrics.batch_messages.observe(messages)

    def refresh(self) -> None:
        """Bring counters and gauges up to date."""
        if self._counters is None or self._broker is None or self._log is None:
            return
        metrics = self._metrics
        for label, number in self._counters.received.items():
            metrics.received.labels(*_labels(label)).inc(self._moved("received", label, number))
        for label, number in self._counters.shed.items():
            shed = metrics.shed.labels(_family(label.family), "queue_full")
            shed.inc(self._moved("shed", label, number))
        for family, number in self._counters.bytes_by_family.items():
            size = metrics.bytes.labels(_family(family), "mqtt")
            size.inc(self._moved("bytes", (family,), number))
        for partition, extent in enumerate(self._log.extents()):
            metrics.log_end.labels(str(partition)).set(extent.end)
        metrics.mqtt_connected.labels("own").set(1)
        metrics.mqtt_clients.set(self._broker.clients)
        refused = self._broker.auth_failures + self._broker.denied
        metrics.mqtt_auth_failures.inc(self._moved("auth", (), refused))
        metrics.backpressure.labels("mqtt").set(int(self._counters.is_stalled))

    def _moved(self, kind: str, label: tuple[str, ...], number: int) -> int:
        key = (kind, *label)
        delta = number - self._shown[key]
        self._shown[key] = number
        return delta


def _family(name: str) -> str:
    return allowed(name, FAMILIES, "generic")


def _labels(label: Label) -> tuple[str, str, str]:
    return _family(label.family), allowed(label.category, CATEGORIES), label.transport
