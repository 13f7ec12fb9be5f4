"""Topics that are there already, on brokers that make topics by themselves. Source: F2-123."""

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from millrace.adapters.log_kafka import KafkaCluster, KafkaLog, KafkaLogReader, RawTopic, topics
from millrace.adapters.log_kafka.client import Admin, Shape
from millrace.errors import RetryError, StopError
from tests.servers.kafka import Kafka, running_kafka

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def eager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    extra = "auto.create.topics.enable=true\nnum.partitions=3"
    with running_kafka(tmp_path_factory.mktemp("eager"), extra=extra) as cluster:
        yield cluster


def make(kafka: Kafka, name: str, partitions: int, config: dict[str, str]) -> None:
    """Make a topic as a person or the broker may have made it."""
    admin = AdminClient({"bootstrap.servers": kafka.servers, "log_level": 0})
    for answer in admin.create_topics([NewTopic(name, partitions, 1, config=config)]).values():
        answer.result(10)


def test_to_look_at_a_topic_does_not_make_it(eager: Kafka) -> None:
    cluster, topic = KafkaCluster(eager.servers), RawTopic("looked_raw", 2)
    for _ in range(2):
        with pytest.raises(RetryError, match="there is no topic"):
            KafkaLogReader(cluster, topic.name)
    assert topic.name not in cluster.admin().client.list_topics(timeout=10).topics
    log = KafkaLog(cluster, topic, device_of=str)
    assert log.partitions == 2
    assert cluster.admin().shape_of(topic.notes) == Shape(1, 1)
    log.close()


@pytest.mark.parametrize(
    ("number", "suffix", "partitions", "config", "told"),
    [
        (0, "", 2, {"cleanup.policy": "compact"}, "cleanup.policy=delete"),
        (1, "_notes", 1, {}, "cleanup.policy=compact"),
        (2, "", 2, {"max.message.bytes": "1000"}, "max.message.bytes="),
        (3, "", 3, {}, "topics.partitions to 3"),
        (4, "_notes", 3, {}, "delete it"),
    ],
)
def test_f48_a_topic_that_loses_messages_stops_the_start(
    eager: Kafka, number: int, suffix: str, partitions: int, config: dict[str, str], told: str
) -> None:
    topic = RawTopic(f"wrong{number}_raw", 2)
    make(eager, topic.name + suffix, partitions, config)
    with pytest.raises(StopError, match=f"topic {topic.name}{suffix} has") as caught:
        KafkaLog(KafkaCluster(eager.servers), topic, device_of=str)
    assert told in caught.value.remedy


def test_f48_too_few_copies_stop_the_start(eager: Kafka) -> None:
    make(eager, "copies_raw", 2, {})
    with pytest.raises(StopError, match="1 replicas") as caught:
        KafkaLog(KafkaCluster(eager.servers), RawTopic("copies_raw", 2, 3), device_of=str)
    assert "topics.replication" in caught.value.remedy


def test_f48_too_few_in_sync_stop_the_start() -> None:
    wanted = RawTopic("r", 2, 3).settings()
    topics._check_settings("r", wanted, wanted | {"min.insync.replicas": "3"})
    with pytest.raises(StopError, match=r"min\.insync\.replicas=1, and 2"):
        topics._check_settings("r", wanted, wanted | {"min.insync.replicas": "1"})


def test_a_topic_that_another_was_quicker_to_make_is_checked_too(eager: Kafka) -> None:
    class Late(Admin):
        """Somebody makes the topic behind our first look."""

        def shape_of(self, topic: str) -> Shape:
            found = super().shape_of(topic)
            if not found.partitions:
                make(eager, topic, 2, {"cleanup.policy": "compact"})
            return found

    with pytest.raises(StopError, match=r"cleanup\.policy"):
        topics.ensure(Late(KafkaCluster(eager.servers)), RawTopic("late_raw", 2))
