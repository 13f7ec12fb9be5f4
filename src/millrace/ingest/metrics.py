"""What ingest shows of itself. Source: MON-101, MON-106, MON-110 to MON-124."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from millrace.ingest.admit import Label
from millrace.ingest.worker import IngestCounters
from millrace.observe.metrics import CATEGORIES, FAMILIES, EdgeMetrics, allowed
from millrace.ports.log import Log


@dataclass(frozen=True, slots=True)
class LinkState:
    """One broker as it is at the moment. `link` is `own` or the name of somebody else's."""

    link: str
    is_up: bool = True
    clients: int = 0
    refused: int = 0


class IngestMetrics:
    """Feeds the edge's metrics: histograms at each append, the rest at each scrape."""

    def __init__(self, metrics: EdgeMetrics, log: Log) -> None:
        self._metrics = metrics
        self._log = log
        self._shown: Counter[tuple[str, ...]] = Counter()

    def appended(self, messages: int, seconds: float) -> None:
        """Take in one append."""
        self._metrics.append_duration.observe(seconds)
        self._metrics.batch_messages.observe(messages)

    def acknowledged(self, seconds: float) -> None:
        """Take in how long the oldest message of a group has waited."""
        self._metrics.ack_latency.labels("mqtt").observe(seconds)

    def sized(self, size_bytes: int) -> None:
        """Take in the size of the log on this disk."""
        self._metrics.log_bytes.set(size_bytes)

    def refresh(self, links: Iterable[tuple[LinkState, IngestCounters]]) -> None:
        """Bring counters and gauges up to date."""
        metrics = self._metrics
        for partition, extent in enumerate(self._log.extents()):
            metrics.log_end.labels(str(partition)).set(extent.end)
        clients = 0
        for state, counters in links:
            clients += state.clients
            metrics.mqtt_connected.labels(state.link).set(int(state.is_up))
            metrics.mqtt_auth_failures.inc(self._moved("refused", (state.link,), state.refused))
            metrics.backpressure.labels("mqtt").set(int(counters.is_stalled))
            self._count(state.link, counters)
        metrics.mqtt_clients.set(clients)

    def _count(self, link: str, counters: IngestCounters) -> None:
        metrics = self._metrics
        for label, number in counters.received.items():
            received = metrics.received.labels(*_labels(label))
            received.inc(self._moved(f"received {link}", label, number))
        for label, number in counters.shed.items():
            shed = metrics.shed.labels(_family(label.family), "queue_full")
            shed.inc(self._moved(f"shed {link}", label, number))
        for family, number in counters.bytes_by_family.items():
            size = metrics.bytes.labels(_family(family), "mqtt")
            size.inc(self._moved(f"bytes {link}", (family,), number))

    def _moved(self, kind: str, label: tuple[str, ...], number: int) -> int:
        key = (kind, *label)
        delta = number - self._shown[key]
        self._shown[key] = number
        return delta


def _family(name: str) -> str:
    return allowed(name, FAMILIES, "generic")


def _labels(label: Label) -> tuple[str, str, str]:
    return _family(label.family), allowed(label.category, CATEGORIES), label.transport
