"""The public stream on Kafka: topics with as many partitions as the raw one."""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from millrace.adapters.log_kafka import topics
from millrace.adapters.log_kafka.client import Complaints, KafkaCluster, translate
from millrace.adapters.log_kafka.writer import PRODUCING
from millrace.errors import RetryError, StopError
from millrace.ports.public_stream import PublicRecord

PATIENCE_S: Final = 20.0

DeliveryCallback = Callable[[KafkaError | None, Message], None]


class KafkaPublicStream:
    """`ports.public_stream.PublicStream`. `names` has the topic of each stream.

    Opening makes the topics; it raises RetryError, UsageError or StopError.
    """

    def __init__(
        self,
        cluster: KafkaCluster,
        names: Mapping[str, str],
        *,
        partitions: int,
        replication: int = 1,
        retention_s: int | None = None,
    ) -> None:
        self._cluster = cluster
        self._names = names
        self._complaints = Complaints()
        admin = cluster.admin()
        kept_ms = -1 if retention_s is None else retention_s * 1000
        settings = {
            "cleanup.policy": "delete",
            "retention.ms": str(kept_ms),
            "message.timestamp.after.max.ms": str((1 << 63) - 1),
        }
        for name in names.values():
            topics.ensure_topic(admin, name, partitions, replication, settings)
        self._producer: Producer | None = None

    def publish(self, records: Sequence[PublicRecord]) -> None:
        if not records:
            return
        failures: list[KafkaError] = []

        def arrived(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failures.append(error)

        producer = self._opened()
        deadline = monotonic() + PATIENCE_S
        for record in records:
            self._produce(producer, record, arrived, deadline)
        if producer.flush(max(0.0, deadline - monotonic())):
            # What is under way may still arrive; it is sent again, and consumers know it by its
            # raw message.
            self.close()
            raise RetryError(f"Kafka has not confirmed in time{self._complaints}")
        if failures:
            named = translate(failures[0], "publishing", self._complaints)
            raise StopError(str(named), "correct the topic, then start again")

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()

    def _opened(self) -> Producer:
        if self._producer is None:
            try:
                self._producer = Producer(self._cluster.options(self._complaints, **PRODUCING))
            except KafkaException as error:
                raise translate(error.args[0], "setting up the Kafka client") from error
        return self._producer

    def _produce(
        self, producer: Producer, record: PublicRecord, arrived: DeliveryCallback, deadline: float
    ) -> None:
        while True:
            try:
                producer.produce(
                    self._names[record.stream],
                    record.value,
                    record.key.encode(),
                    record.partition,
                    on_delivery=arrived,
                    timestamp=record.time_ns // 1_000_000,
                )
            except BufferError:
                if monotonic() > deadline:
                    raise RetryError(f"Kafka does not take records{self._complaints}") from None
                producer.poll(0.1)
            except KafkaException as error:
                raise translate(error.args[0], "publishing") from error
            else:
                return
