"""Records of the log on Kafka as others see them, and records of others.

Source: D-11, D-14, D-50, F2-120.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import count
from time import monotonic, sleep

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from millrace.adapters.log_kafka import KafkaCluster, KafkaLog, KafkaLogReader, RawTopic
from millrace.errors import GoneError, UsageError
from millrace.model.message import DUP, RETAIN, TICK, RawBatch
from millrace.model.partition import partition_of
from millrace.ports.log import Note
from tests.servers.kafka import Kafka

pytestmark = pytest.mark.services

AT_NS = 1_772_366_400_123_456_789
_numbers = count(1)


@pytest.fixture
def topic() -> RawTopic:
    return RawTopic(f"r{next(_numbers)}_raw", 5)


@pytest.fixture
def log(kafka: Kafka, topic: RawTopic) -> Iterator[KafkaLog]:
    log = KafkaLog(KafkaCluster(kafka.servers), topic, device_of=device_of)
    yield log
    log.close()


@pytest.fixture
def reader(kafka: Kafka, log: KafkaLog, topic: RawTopic) -> Iterator[KafkaLogReader]:
    reader = KafkaLogReader(KafkaCluster(kafka.servers), topic.name)
    assert reader.partitions == log.partitions
    yield reader
    reader.close()


def device_of(topic: str) -> str:
    return topic.split("/")[1] if "/" in topic else "unknown"


def seen(kafka: Kafka, topic: str, partition: int) -> list[Message]:
    """Return the records of a partition as a consumer of others reads them."""
    consumer = Consumer({"bootstrap.servers": kafka.servers, "group.id": "others"})
    consumer.assign([TopicPartition(topic, partition, 0)])
    end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1]
    found: list[Message] = []
    while len(found) < end:
        found += consumer.consume(end, 1.0)
    consumer.close()
    return found


def produce(kafka: Kafka, topic: RawTopic, bodies: Sequence[bytes], **more: str) -> None:
    """Write records into partition 0, as a program of others does."""
    others = Producer({"bootstrap.servers": kafka.servers, **more})
    for body in bodies:
        others.produce(topic.name, body, b"k", 0)
    assert others.flush(10) == 0


def test_d50_a_record_is_the_documented_json(kafka: Kafka, topic: RawTopic, log: KafkaLog) -> None:
    batch = RawBatch(3)
    flags = 1 | RETAIN | DUP
    batch.add("iot/m1/telemetry", b'{"a": [1, 2]}', AT_NS, flags=flags, client_id="m1", packet_id=7)
    batch.add("iot/m1/telemetry", b"\xff\x00", AT_NS)
    batch.add("", b'{"low": 1}', AT_NS, flags=TICK)
    log.append([batch])
    first, second, tick = seen(kafka, topic.name, 3)
    assert json.loads(first.value() or b"") == {
        "original_topic": "iot/m1/telemetry",
        "device_id": "m1",
        "payload": {"a": [1, 2]},
        "timestamp": AT_NS / 1e9,
        "received_at_ns": AT_NS,
        "qos": 1,
        "retain": True,
        "dup": True,
        "client_id": "m1",
    }
    assert first.key() == b"m1"
    assert first.timestamp()[1] == AT_NS // 1_000_000
    assert json.loads(second.value() or b"")["payload"] == {"base64": "/wA="}
    assert tick.key() is None
    assert ("kind", b"tick") in (tick.headers() or [])


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("device", ["m1", "f2-e4fd45f654be", "dev-7", "höhe", "x" * 100])
def test_d11_the_partition_of_a_key_is_that_of_kafka(
    kafka: Kafka, topic: RawTopic, device: str
) -> None:
    others = Producer({"bootstrap.servers": kafka.servers, "partitioner": "murmur2_random"})
    placed: list[int | None] = []
    others.produce(
        topic.name, b"{}", device.encode(), on_delivery=lambda _, m: placed.append(m.partition())
    )
    others.flush(10)
    assert placed == [partition_of(device, topic.partitions)]


def test_records_of_others_are_read(kafka: Kafka, topic: RawTopic, reader: KafkaLogReader) -> None:
    bodies = [
        b'{ "timestamp": 12.5, "payload":{"a" : 1}, "original_topic":"iot/m1/telemetry" }',
        b'{"original_topic": "iot/m2/status", "payload": "on", "device_id": "m2", "timestamp": 3}',
        b'{"original_topic": "t", "payload": {"base64": "/wA="}, "timestamp": 3, "qos": 2}',
        b"no record at all",
        b'{"original_topic": "t"}',
        b"",
        b'{"original_topic": "t", "payload": 1, "timestamp": 1e300}',
        b'{"original_topic":"t", "payload":1, "timestamp":3, "received_at_ns":9300000000000000000}',
        b'{"original_topic":"t","device_id":"t","payload":1,"timestamp":1e300}',
        b'{"original_topic":"t","device_id":"t","payload":1,"timestamp":3,"qos":"\\ud83d"}',
        b'{"original_topic":5,"device_id":"t","payload":1,"timestamp":3}',
        b'{"original_topic": "", "payload": 1, "timestamp": 3}',
    ]
    produce(kafka, topic, bodies)
    found = reader.read(0, 0, 100)
    assert found is not None
    assert found.topics == ["iot/m1/telemetry", "iot/m2/status", "t", *["$unreadable"] * 9]
    assert found.payloads == [b'{"a" : 1}', b"on", b"\xff\x00", *bodies[3:]]
    assert found.received_at_ns[:3] == [12_500_000_000, 3_000_000_000, 3_000_000_000]
    assert found.flags[:3] == [0, 0, 2]
    # The next start of who takes messages in reads them as well: they may be its own.
    again = KafkaLog(KafkaCluster(kafka.servers), topic, device_of=device_of)
    assert sum(map(len, again.unnoted())) == len(bodies)
    again.close()


def test_offsets_without_a_record_are_passed_over(
    kafka: Kafka, topic: RawTopic, reader: KafkaLogReader
) -> None:
    options = {"bootstrap.servers": kafka.servers, "transactional.id": topic.name, "log_level": 0}
    others = Producer(options)
    others.init_transactions(10)
    for body in (b"1", b"2"):
        others.begin_transaction()
        value = b'{"original_topic": "t", "payload": %s, "timestamp": 3}' % body
        others.produce(topic.name, value, b"k", 0)
        others.commit_transaction(10)
    deadline = monotonic() + 10
    while reader.extents()[0].end < 4:  # the brokers write the end of a transaction in their time
        assert monotonic() < deadline
        sleep(0.05)
    found = reader.read(0, 0, 100)
    assert found is not None
    assert found.payloads == [b"1", b"", b"2", b""]
    assert found.topics == ["t", "$unreadable", "t", "$unreadable"]
    assert found.received_at_ns == [3_000_000_000] * 4
    assert reader.read(0, 4, 100) is None
    alone = reader.read(0, 3, 1)
    assert alone is not None
    assert alone.topics == ["$unreadable"]
    again = KafkaLog(KafkaCluster(kafka.servers), topic, device_of=device_of)
    assert sum(map(len, again.unnoted())) == 2
    again.close()


def test_p10_a_read_ends_when_it_has_enough_bytes(log: KafkaLog, reader: KafkaLogReader) -> None:
    batch = RawBatch(0)
    for _ in range(12):
        batch.add("iot/m1/telemetry", b"x" * (1 << 20), AT_NS)
    log.append([batch])
    sizes, offset = list[int](), 0
    while found := reader.read(0, offset, 100):
        sizes.append(len(found))
        offset = found.next_offset
    assert sizes == [8, 4]


def test_a_payload_that_grows_in_json_still_fits(log: KafkaLog, reader: KafkaLogReader) -> None:
    batch = RawBatch(0)
    batch.add("iot/m1/telemetry", bytes(4 << 20), AT_NS)
    log.append([batch])
    assert reader.read(0, 0, 1) == batch


def test_f21_what_retention_has_removed_is_said(log: KafkaLog, reader: KafkaLogReader) -> None:
    for number in range(10):
        batch = RawBatch(1)
        batch.add("iot/m1/telemetry", b"%d" % number, AT_NS + number)
        log.append([batch])
    assert reader.read(1, 0, 5) is not None
    assert log.retire(before_ns=None, max_bytes=0, keep=[0, 8, 0, 0, 0]) == 8
    with pytest.raises(GoneError):
        reader.read(1, 0, 5)
    assert getattr(reader.read(1, 8, 5), "payloads", None) == [b"8", b"9"]


def test_another_number_of_partitions_is_refused(kafka: Kafka, log: KafkaLog) -> None:
    other = RawTopic(log._topic.name, 4)
    with pytest.raises(UsageError, match="5 partitions"):
        KafkaLog(KafkaCluster(kafka.servers), other, device_of=device_of)


def test_p8_several_writers_count_what_they_wrote_themselves(kafka: Kafka) -> None:
    topic = RawTopic("several_raw", 1)
    cluster = KafkaCluster(kafka.servers)

    def writer(name: str) -> KafkaLog:
        return KafkaLog(cluster, topic, device_of=device_of, instance=name, is_alone=False)

    one, two = writer("one"), writer("two")
    for number in range(6):
        batch = RawBatch(0)
        batch.add("iot/m1/telemetry", b"%d" % number, AT_NS)
        name = b"one" if number % 2 else b"two"
        (one if number % 2 else two).append([batch], [Note(b"by/" + name, b"%d" % number)])
    reader = KafkaLogReader(cluster, topic.name)
    assert reader.appended() == 6
    assert reader.notes(b"by/") == [(b"by/one", b"5"), (b"by/two", b"4")]
    one.close()
    again = writer("one")
    assert list(again.unnoted()) == []
    for each in (two, again, reader):
        each.close()


def test_p8_what_a_crash_left_is_counted_once(kafka: Kafka, topic: RawTopic, log: KafkaLog) -> None:
    log.close()
    produce(kafka, topic, [b'{"original_topic": "t", "payload": 1, "timestamp": 3}'] * 5)
    counted = []
    for number in range(3):
        again = KafkaLog(KafkaCluster(kafka.servers), topic, device_of=device_of)
        counted.append(sum(map(len, again.unnoted())))
        again.append([], [Note(b"start", b"%d" % number)])
        again.close()
    assert counted == [5, 0, 0]
    reader = KafkaLogReader(KafkaCluster(kafka.servers), topic.name)
    assert reader.appended() == 5
    reader.close()
