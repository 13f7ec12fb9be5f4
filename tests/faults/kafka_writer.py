"""Processes that write a log on Kafka until something happens to them."""

import json
import subprocess
import sys
from pathlib import Path

from millrace.adapters.log_kafka import KafkaCluster, KafkaLog, RawTopic
from millrace.model.message import RawBatch
from millrace.ports.log import Note

PARTITIONS = 2
ROOT = Path(__file__).parents[2]


def device_of(topic: str) -> str:
    """Return the device of a topic of these tests."""
    return topic.partition("/")[2]


def open_log(
    servers: str, topic: str, *, replication: int = 1, patience_s: float = 5.0
) -> KafkaLog:
    """Open the log that these tests write."""
    raw = RawTopic(topic, PARTITIONS, replication)
    return KafkaLog(KafkaCluster(servers), raw, device_of=device_of, patience_s=patience_s)


def group(number: int) -> list[RawBatch]:
    """Return the messages of one append: two of each partition, numbered."""
    batches = []
    for partition in range(PARTITIONS):
        batch = RawBatch(partition)
        for n in (2 * number, 2 * number + 1):
            batch.add(f"d/{partition}", b"%d" % n, 1_700_000_000_000_000_000 + n, flags=1)
        batches.append(batch)
    return batches


def append_for_ever(servers: str, topic: str) -> None:
    """Append until killed; say after each append that returned how many there were."""
    log = open_log(servers, topic)
    number = sum(extent.end for extent in log.extents()) // (2 * PARTITIONS)
    while True:
        log.append(group(number), [Note(b"count", b"%d" % (number + 1))])
        number += 1
        sys.stdout.write(json.dumps(number) + "\n")
        sys.stdout.flush()


def start(servers: str, topic: str, crash_at: str = "") -> "subprocess.Popen[str]":
    """Start a process that appends for ever."""
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "CRASH_AT": crash_at}
    command = [sys.executable, "-m", "tests.faults.kafka_writer", servers, topic]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)


if __name__ == "__main__":
    append_for_ever(*sys.argv[1:])
