"""The log on Kafka while brokers and writers die: F1, F18, F19, F49, P1, P3."""

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.adapters.log_kafka import KafkaCluster, KafkaLog, KafkaLogReader
from millrace.errors import RetryError, StopError
from millrace.model.message import RawBatch
from tests.faults.kafka_writer import PARTITIONS, group, open_log, start
from tests.servers.kafka import Kafka, running_kafka

pytestmark = pytest.mark.services


def payloads(servers: str, topic: str) -> list[list[int]]:
    """Return the numbers that each partition holds, once brokers have agreed who leads."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return held(servers, topic)
        except RetryError:
            assert time.monotonic() < deadline
            time.sleep(0.5)


def held(servers: str, topic: str) -> list[list[int]]:
    """Return the numbers that each partition holds, in order."""
    reader = KafkaLogReader(KafkaCluster(servers), topic)
    found = []
    for partition, extent in enumerate(reader.extents()):
        offset, numbers = extent.start, list[int]()
        while batch := reader.read(partition, offset, 10_000):
            numbers += map(int, batch.payloads)
            offset = batch.next_offset
        found.append(numbers)
    reader.close()
    return found


@pytest.mark.parametrize("point", ["log_before_append", "log_before_notes", "log_after_append"])
def test_f1_p1_p8_killed_at_each_step(kafka: Kafka, point: str) -> None:
    topic = f"crash_{point}"
    appended = 0
    for number in (1, 3):
        process = start(kafka.servers, topic, crash_at=f"{point}:{number}")
        said = process.communicate(timeout=60)[0].split()
        assert process.returncode == -9
        assert len(said) == number - 1
        appended += number - 1 + (point != "log_before_append")
        log = open_log(kafka.servers, topic)
        uncounted = sum(map(len, log.unnoted()))
        assert uncounted == (2 * PARTITIONS if point == "log_before_notes" else 0)
        assert list(log.unnoted()) == []
        log.append([], [])
        reader = KafkaLogReader(KafkaCluster(kafka.servers), topic)
        assert [extent.end for extent in log.extents()] == [2 * appended] * PARTITIONS
        if number > 1:
            noted = appended - (point == "log_before_notes")
            assert reader.notes(b"count") == [(b"count", b"%d" % noted)]
        reader.close()
        log.close()
    assert payloads(kafka.servers, topic) == [list(range(2 * appended))] * PARTITIONS


def test_f49_the_older_of_two_writers_stops(kafka: Kafka) -> None:
    older = open_log(kafka.servers, "two_writers")
    older.append(group(0))
    newer = open_log(kafka.servers, "two_writers")
    newer.append(group(1))
    with pytest.raises(StopError, match="another process writes"):
        older.append(group(2))
    older.close()
    newer.close()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    folder: Path = tmp_path_factory.mktemp("three")
    with running_kafka(folder, nodes=3) as cluster:
        yield cluster


@pytest.mark.slow
def test_f18_p1_leader_killed_and_then_too_few_in_sync(three: Kafka) -> None:
    log = open_log(three.servers, "leader", replication=3, patience_s=2.0)
    log.append(group(0))
    leader = three.leader_of("leader", 0)
    leader.kill()
    for number in range(1, 20):
        append(log, number)  # two of three are enough
    second = three.leader_of("leader", 0)
    second.kill()
    batches = group(20)
    for _ in range(2):
        with pytest.raises(RetryError, match="not confirmed"):
            log.append(batches)
    leader.start()
    until_appended(log, batches)
    for number in range(21, 25):
        append(log, number)
    second.start()
    three.wait()
    assert payloads(three.servers, "leader") == [list(range(50))] * PARTITIONS
    log.close()


@pytest.mark.slow
def test_f19_p10_the_whole_cluster_stands_still(kafka: Kafka) -> None:
    topic = "standstill"
    log = open_log(kafka.servers, topic, patience_s=0.5)
    append(log, 0)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for node in kafka.nodes:
        node.pause()
    try:
        batches = group(1)
        over = time.monotonic() + 5
        while time.monotonic() < over:
            with pytest.raises(RetryError):
                log.append(batches)
    finally:
        for node in kafka.nodes:
            node.resume()
    until_appended(log, batches)
    for number in range(2, 10):
        append(log, number)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 50_000
    assert payloads(kafka.servers, topic) == [list(range(20))] * PARTITIONS
    log.close()


@pytest.mark.slow
def test_p8_two_calls_through_a_pause_are_settled_in_order(kafka: Kafka) -> None:
    topic = "two_calls"
    log = open_log(kafka.servers, topic, patience_s=0.5)
    first, second = group(0), group(1)
    for node in kafka.nodes:
        node.pause()
    try:
        for batches in (first, second):
            with pytest.raises(RetryError):
                log.append(batches)
    finally:
        for node in kafka.nodes:
            node.resume()
    until_appended(log, second)
    until_appended(log, first)
    assert [batch.first_offset for batch in (*first, *second)] == [0, 0, 2, 2]
    append(log, 2)
    assert payloads(kafka.servers, topic) == [list(range(6))] * PARTITIONS
    reader = KafkaLogReader(KafkaCluster(kafka.servers), topic)
    assert reader.appended() == 6 * PARTITIONS
    reader.close()
    log.close()


def append(log: KafkaLog, number: int) -> None:
    """Append a group, for as long as it takes."""
    until_appended(log, group(number))


def until_appended(log: KafkaLog, batches: list[RawBatch]) -> None:
    """Repeat one call, as the ingest worker does."""
    deadline = time.monotonic() + 60
    while True:
        try:
            log.append(batches)
        except RetryError:
            assert time.monotonic() < deadline
        else:
            return
