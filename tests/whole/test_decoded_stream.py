"""`millrace run decode` on a real Kafka: what consumers of others read. D-26, F2-121, D-50."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from millrace.errors import UsageError
from millrace.ingest.admit import Admission
from millrace.model.message import RawBatch
from millrace.settings import DecodedSettings, LogSettings, Settings, TopicsSettings
from millrace.wiring.families import codecs
from millrace.wiring.inner import core_metrics, run_pump
from millrace.wiring.logs import open_log, open_log_reader, open_public_stream
from millrace.wiring.setup import prepare
from millrace.wiring.stores import open_store
from tests.servers.kafka import Kafka

pytestmark = pytest.mark.services

# Of today: what is older than log.retention_s is removed at once.
AT_NS = time.time_ns()
STRIKE = "stat/f2-e4fd45f654be/access-control-mode/J2/strike-1"
METER = (
    b'{"v":2,"seq":7,"msg_type":"telemetry","ts":1772366400,"measurements":'
    b'[{"type":"voltage_v","val":230.5},{"type":"current_a","val":1.5}]}'
)
MESSAGES = [
    ("sensors/temperature/s1", b'{"data":{"temperature_celsius":21.5}}'),
    ("iot/m1/telemetry", METER),
    (STRIKE, b'{"timestamp": "yesterday", "status": true}'),
    ("iot/m1/telemetry", b"broken"),
    ("cmnd/f2-e4fd45f654be/access-control-mode/J2/strike-1", b'{"power-flag": 2, "period": 5}'),
]  # fmt: skip


def settings_of(kafka: Kafka, folder: Path) -> Settings:
    return Settings(
        data=folder / "data",
        log=LogSettings(url=f"kafka://{kafka.servers}/{folder.name}"),
        topics=TopicsSettings(partitions=2),
        decoded=DecodedSettings(include_raw=False),
    )


def append(settings: Settings) -> int:
    log = open_log(settings)
    batch = RawBatch()
    for number, (topic, payload) in enumerate(MESSAGES):
        batch.add(topic, payload, AT_NS + number * 1000, flags=1)
    log.append(Admission(codecs(settings), log.partitions).admit(batch).batches)
    log.close()
    return len(MESSAGES)


def decode_all(settings: Settings) -> None:
    """Run the role until nothing waits."""
    over = threading.Event()
    arguments = (settings, "decode", core_metrics(), over)
    thread = threading.Thread(target=run_pump, args=arguments, kwargs={"ready": lambda: None})
    thread.start()
    try:
        reader = open_log_reader(settings)
        for _ in range(300):
            ends = {p: extent.end for p, extent in enumerate(reader.extents())}
            with open_store(settings) as store:
                if dict(store.accounts().read("decode").positions) == ends:
                    break
            over.wait(0.1)
        reader.close()
    finally:
        over.set()
        thread.join()


def seen(kafka: Kafka, topic: str) -> list[tuple[bytes | None, dict[str, Any]]]:
    consumer = Consumer({"bootstrap.servers": kafka.servers, "group.id": "others"})
    found: list[Message] = []
    for partition in range(2):
        place = TopicPartition(topic, partition, 0)
        wanted = len(found) + consumer.get_watermark_offsets(place, timeout=10)[1]
        consumer.assign([place])
        while len(found) < wanted:
            found += consumer.consume(wanted - len(found), 1.0)
    consumer.close()
    return [(message.key(), json.loads(message.value() or b"")) for message in found]


def test_f2_121_what_was_decoded_is_published(kafka: Kafka, tmp_path: Path) -> None:
    settings = settings_of(kafka, tmp_path)
    prepare(settings)
    append(settings)
    decode_all(settings)
    prefix = tmp_path.name
    decoded = {
        record["device_id"]: record for _, record in seen(kafka, f"{prefix}_decoded_iot_data")
    }
    assert decoded.keys() == {"s1", "m1", "f2-e4fd45f654be"}
    sensor, meter, strike = decoded["s1"], decoded["m1"], decoded["f2-e4fd45f654be"]
    assert sensor["value"] == {"temperature_celsius": 21.5}
    assert sensor["family"] == "sensors"
    assert meter["value"] == {"voltage_v": 230.5, "current_a": 1.5}
    assert meter["seq"] == 7
    assert [row["metric"] for row in meter["readings"]] == ["voltage_v", "current_a"]
    assert strike["value"] is True
    assert strike["connector_mode"] == "access-control-mode"
    assert strike["original_topic"] == STRIKE
    assert "raw_data" not in strike
    [(key, letter)] = seen(kafka, f"{prefix}_iot_dead_letters")
    assert (key, letter["reason"], letter["payload"]) == (b"m1", "bad_json", "broken")
    [(key, event)] = seen(kafka, f"{prefix}_iot_events")
    assert (key, event["type"]) == (b"f2-e4fd45f654be", "command")


def test_d26_a_second_start_publishes_nothing_twice(kafka: Kafka, tmp_path: Path) -> None:
    settings = settings_of(kafka, tmp_path)
    prepare(settings)
    for _ in range(2):
        append(settings)
        decode_all(settings)
    records = [record for _, record in seen(kafka, f"{tmp_path.name}_decoded_iot_data")]
    places = [(r["raw_ref"]["partition"], r["raw_ref"]["offset"]) for r in records]
    assert len(places) == len(set(places)) == 6
    with open_store(settings) as store:
        account = store.accounts().read()
    assert not account.outcomes
    assert not account.positions


def test_embedded_there_is_no_public_stream(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another log"):
        open_public_stream(Settings(data=tmp_path))
