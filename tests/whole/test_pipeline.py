"""From a publish of a foreign client to the API, and what a restart must not forget.

Source: issue 1; MTR-001, MTR-007, MTR-050 to MTR-060, MTR-071, SNS-020, F2-051, F15, F34, F35;
API-030 to API-035, API-060 to API-072.
"""

import json
import random
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.servers.installed import program
from tests.servers.mosquitto import Mosquitto, running_mosquitto
from tests.whole.devices import CountingMeter, publish
from tests.whole.stack import Stack, running

VERSIONS = (MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5)


SENSOR = (
    b'{"location":"Depot","data":{"latitude":48.1,"longitude":16.3},'
    b'"metadata":{"battery_level":85,"signal_strength":-58}}'
)


def stamp(seconds_ago: float) -> str:
    return datetime.fromtimestamp(time.time() - seconds_ago, UTC).isoformat()


def datagram(seq: int, ago_s: float, **values: float) -> bytes:
    elements = [
        {"ts": stamp(ago_s), "type": name, "val": v, "unit": "V"} for name, v in values.items()
    ]
    body = {"v": 2, "seq": seq, "msg_type": "telemetry", "measurements": elements}
    return json.dumps(body).encode()


def metrics(stack: Stack, device: str, query: str = "") -> list[tuple[str, float]]:
    found = stack.get(f"/api/devices/{device}/metrics?{query}")["metrics"]
    return [(row["metric"], row["value"]) for row in found]


@pytest.mark.parametrize("version", VERSIONS, ids=["3.1.1", "5"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mtr001_a_publish_of_paho_is_in_the_api(stack: Stack, qos: int, version: int) -> None:
    device = f"paho-{version}-{qos}"
    messages = [
        (f"iot/{device}/telemetry", datagram(n, 60 - n, voltage_dc=700 + n)) for n in range(50)
    ]
    publish(stack.mqtt, *messages, qos=qos, version=MQTTProtocolVersion(version))
    stack.wait_until(lambda: len(metrics(stack, device)) == 50)
    assert metrics(stack, device) == [("voltage_dc", 700 + n) for n in range(50)]
    (latest,) = stack.get(f"/api/latest?device_id={device}")["latest"]
    assert (latest["value"], latest["unit"], latest["quality"]) == (749, "V", [])
    found = stack.get(
        f"/api/devices/{device}/aggregates?every=1h&fn=count&fn=min&fn=max&fn=mean&start=-2h"
    )["aggregates"][0]["points"]
    assert sum(point["count"] for point in found) == 50
    assert (min(p["min"] for p in found), max(p["max"] for p in found)) == (700, 749)
    stack.wait_until(lambda: stack.get(f"/api/devices/{device}")["connection_status"] == "online")
    assert stack.get(f"/api/devices/{device}")["registered"] is False
    events = stack.get(f"/api/devices/{device}/events")["events"]
    assert [event["type"] for event in events] == ["device_discovered"]


@pytest.mark.services
@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_mtr001_a_publish_of_mosquitto_pub_is_in_the_api(
    stack: Stack, qos: str, version: str
) -> None:
    device = f"pub-{version}-{qos}"
    for n in range(3):
        body = f'{{"timestamp":"{stamp(9 - n)}","data":{{"temperature_celsius":{n}}}}}'
        done = subprocess.run(
            [program("mosquitto_pub"), "-p", str(stack.mqtt), "-V", version, "-q", qos,
             "-t", f"sensors/temperature/{device}", "-m", body],
            check=False, timeout=10,
        )  # fmt: skip
        assert done.returncode == 0
    expected = [("temperature_celsius", float(n)) for n in range(3)]
    stack.wait_until(lambda: metrics(stack, device) == expected)


def test_every_family_reaches_every_answer(stack: Stack) -> None:
    publish(
        stack.mqtt,
        ("iot/all-1/hello", json.dumps({"seq": 0, "msg_type": "hello", "fw_version": "2.1.0",
                                        "uptime_s": 5, "ts": stamp(2)}).encode()),
        ("sensors/gps/all-2", SENSOR),
        ("stat/all-3/access-control-mode/J2/strike-1", b'{"status": true}'),
        ("tele/all-3/access-control-mode/J2/reader-1", b'{"data": "b\'CARD 7\'"}'),
        ("factory/all-4/data", b'{"line": {"speed": 4.5}, "on": true}'),
    )  # fmt: skip
    stack.wait_until(lambda: len(stack.get("/api/latest?device_id=all-4")["latest"]) == 2)
    stack.wait_until(lambda: stack.get("/api/devices/all-1/status")["fw_version"] == "2.1.0")
    names = {f"all-{n}": {m for m, _ in metrics(stack, f"all-{n}")} for n in (1, 2, 3, 4)}
    assert names == {
        "all-1": {"meta_uptime_s"},
        "all-2": {"latitude", "longitude", "meta_battery_level", "meta_signal_strength"},
        "all-3": {"strike-1.J2", "reader-1.J2"},
        "all-4": {"line.speed", "on"},
    }
    devices = {row["device_id"]: row for row in stack.get("/api/devices?q=all-")["devices"]}
    assert {row["family"] for row in devices.values()} == {"meter", "sensors", "f2", "generic"}
    assert devices["all-2"]["location"] == "Depot"
    scans = stack.get("/api/devices/all-3/events?type=scan")["events"]
    assert [scan["text"] for scan in scans] == ["CARD 7"]


def test_mtr055_a_gap_is_shown_with_its_missing_numbers(stack: Stack) -> None:
    bodies = [datagram(n, 20 - n, x=n) for n in range(10)]
    publish(stack.mqtt, *(("iot/gap-1/telemetry", bodies[n]) for n in (0, 1, 4, 4, 9, 3)))
    stack.wait_until_drained()
    found = stack.get("/api/devices/gap-1/events")["events"]
    assert sorted(event["type"] for event in found) == [
        "device_discovered",
        "sequence_gap_filled",
        "sequence_gap_opened",
        "sequence_gap_opened",
    ]
    assert stack.gap_count("gap-1") == 5


def test_f34_a_capture_sent_twice_is_stored_once(stack: Stack) -> None:
    capture = [(f"iot/twice-{d}/telemetry", datagram(n, 50 - n, x=n)) for n in range(40)
               for d in (1, 2)]  # fmt: skip
    publish(stack.mqtt, *capture)
    publish(stack.mqtt, *capture)
    publish(stack.mqtt, ("iot/twice-2/telemetry", datagram(40, 1, x=40)))
    stack.wait_until(lambda: len(metrics(stack, "twice-2")) == 41)
    assert metrics(stack, "twice-1") == [("x", n) for n in range(40)]
    assert stack.gap_count("twice-1") == 0
    meter = next(row for row in stack.books()["families"] if row["family"] == "meter")
    assert meter["duplicate"] >= 80


def test_f35_readings_out_of_order_and_very_late_are_in_order(stack: Stack) -> None:
    ages = [*range(30), 86_400, 30 * 86_400]
    random.Random(35).shuffle(ages)
    messages = [("iot/late-1/telemetry", datagram(0, age, x=age)) for age in ages]
    publish(stack.mqtt, *((topic, body.replace(b'"seq": 0, ', b"")) for topic, body in messages))
    query = "start=-31d&limit=100"
    stack.wait_until(lambda: len(metrics(stack, "late-1", query)) == 32)
    assert [v for _, v in metrics(stack, "late-1", query)] == sorted(ages, reverse=True)
    (newest,) = stack.get("/api/latest?device_id=late-1")["latest"]
    assert newest["value"] == 0


@pytest.mark.slow
def test_p4_a_restart_of_everything_forgets_nothing(tmp_path: Path) -> None:
    topic = "iot/m1/telemetry"
    sensor = ("sensors/temperature/s1", b'{"data":{"temperature_celsius":1}}')
    # However slow the machine is, the copies come within the window.
    env = {"MILLRACE_METER__REDELIVERY_S": "300"}
    with running(tmp_path / "data", env=env) as stack:
        publish(stack.mqtt, *((topic, datagram(n, 30 - n, x=n)) for n in range(3)), sensor)
        stack.wait_until_drained()
        before = metrics(stack, "m1")
        assert stack.stop() == 0
    again = [(topic, datagram_of(stack, "m1", 2)), (topic, datagram(7, 1, x=7))]
    with running(tmp_path / "data", env=env, ports=(stack.http, stack.mqtt)) as stack:
        assert metrics(stack, "m1") == before == [("x", n) for n in range(3)]
        resend(stack.mqtt, *again, sensor)
        books = stack.wait_until_drained()
        assert metrics(stack, "m1") == [("x", n) for n in (0, 1, 2, 7)]
        assert stack.gap_count("m1") == 4
        stack.kill("core")
        resend(stack.mqtt, again[0], sensor)
        books = stack.wait_until_drained()
        duplicates = {row["family"]: row["duplicate"] for row in books["families"]}
        assert duplicates == {"meter": 2, "sensors": 2}
        assert books["difference"] == 0
        assert stack.get("/api/devices/m1/sequence")["last_seq"] in {2, 7}


def datagram_of(stack: Stack, device: str, seq: int) -> bytes:
    """Return the payload with this number once more, from the log."""
    from millrace.adapters.log_sqlite import SqliteLogReader  # noqa: PLC0415

    reader = SqliteLogReader(stack.data / "log")
    try:
        for partition, extent in enumerate(reader.extents()):
            batch = reader.read(partition, 0, 1000) if extent.end else None
            for topic, payload in (
                zip(*(batch.topics, batch.payloads), strict=True) if batch else ()
            ):
                if topic == f"iot/{device}/telemetry" and json.loads(payload)["seq"] == seq:
                    return payload
    finally:
        reader.close()
    raise AssertionError(seq)


def resend(port: int, *messages: tuple[str, bytes]) -> None:
    """Publish with the DUP flag set, as a client does that never saw the acknowledgement."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for number, (topic, body) in enumerate(messages, start=1):
        client._send_publish(number, topic.encode(), body, qos=1, dup=True)
    time.sleep(1)
    client.disconnect()
    client.loop_stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as server:
        yield server


@pytest.mark.services
@pytest.mark.slow
def test_f15_an_external_broker_is_restarted_and_killed(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    url = f"mqtt://127.0.0.1:{mosquitto.port}"
    with running(tmp_path / "data", broker=url) as stack:
        devices = [CountingMeter(f"m{n}", mosquitto.port, rate=60) for n in range(3)]
        for device in devices:
            device.start()
        stack.wait_until(lambda: len(devices[0].acknowledged) > 50)
        mosquitto.stop()
        stack.wait_until(lambda: stack.role("ingest", "/readyz")[0] == 503, timeout_s=20)
        mosquitto.start()
        stack.wait_until(lambda: stack.role("ingest", "/readyz")[0] == 200, timeout_s=30)
        stack.kill("edge")
        time.sleep(2)
        stack.wait_until_ready()
        for device in devices:
            device.finish()
        wait_until_quiet(stack)
        books = stack.wait_until_drained()
        assert books["difference"] == 0
        stored = stack.exported("temperature_celsius")
        for device in devices:
            assert set(stored[device.name]) >= device.acknowledged
            assert len(stored[device.name]) == device.sent
            assert stack.gap_count(device.name) == 0


def wait_until_quiet(stack: Stack) -> None:
    """Wait until nothing more comes out of the broker."""
    before = -1
    while (now := sum(row["received"] for row in stack.books()["families"])) != before:
        before = now
        time.sleep(1)
