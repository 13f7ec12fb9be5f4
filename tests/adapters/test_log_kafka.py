"""The log on a real Kafka."""

from itertools import count

import pytest

from millrace.adapters.log_kafka import KafkaCluster, KafkaLog, KafkaLogReader, RawTopic
from millrace.ports.log import Log, LogReader
from tests.contracts.log import PARTITIONS, LogContract
from tests.servers.kafka import Kafka

pytestmark = pytest.mark.services

_numbers = count(1)


def fresh_topic(**more: int) -> RawTopic:
    """Return a topic that no test has used."""
    return RawTopic(f"t{next(_numbers)}_raw", PARTITIONS, **more)


def device_of(topic: str) -> str:
    return topic.split("/")[-2] if topic.count("/") > 1 else "unknown"


class TestKafkaLog(LogContract):
    """The contract of the port."""

    stored_batch = 1

    @pytest.fixture(autouse=True)
    def _cluster(self, kafka: Kafka) -> None:
        self.cluster = KafkaCluster(kafka.servers)
        self.topic = fresh_topic()

    def make_log(self) -> Log:
        return KafkaLog(self.cluster, self.topic, device_of=device_of)

    def make_reader(self, log: Log) -> LogReader:
        return KafkaLogReader(self.cluster, self.topic.name)
