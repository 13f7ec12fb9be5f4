"""Hostile payloads over real MQTT, each between two good messages of the same device.

Every one becomes what its spec says, its bytes are kept, the stream goes on, the books balance.
Source: F36 to F41; MTR-020, MTR-036 to MTR-038, F2-020 to F2-027, SNS-023, REG-042, D-51, D-52.
"""

import json
import socket
from itertools import count

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.whole.devices import publish
from tests.whole.stack import Stack

METER = "iot/{}/telemetry"
SENSOR = "sensors/temperature/{}"
F2 = "stat/{}/access-control-mode/J2/strike-1"
GENERIC = "factory/{}/data"

GOOD = {
    METER: b'{"voltage_dc": %d}',
    SENSOR: b'{"data": {"temperature_celsius": %d}}',
    F2: b'{"voltage": %d}',
    GENERIC: b'{"level": %d}',
}
FAMILY = {METER: "meter", SENSOR: "sensors", F2: "f2", GENERIC: "generic"}

DEEP = b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
DIGITS = b"1" * 400
MANY_DIGITS = b"9" * 10_000
KEYS = b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(3_000)) + b"}"

ALL = (METER, SENSOR, F2, GENERIC)
JSON_ONLY = (METER, SENSOR, GENERIC)


def each(topics: tuple[str, ...], payload: bytes, reason: str) -> list[tuple[str, bytes, str]]:
    return [(topic, payload, reason) for topic in topics]


def values(number: bytes) -> list[tuple[str, bytes]]:
    """Return messages whose only value is `number`."""
    return [
        (METER, b'{"measurements":[{"type":"voltage_dc","val":%s}]}' % number),
        (SENSOR, b'{"data":{"temperature_celsius":%s}}' % number),
        (F2, b'{"voltage":%s}' % number),
        (GENERIC, b'{"level":%s}' % number),
    ]


HOSTILE = [
    *each(ALL, b"", "empty_payload"),
    *each(ALL, b'{"voltage_dc": "\xff\xfe"}', "not_utf8"),
    *each(ALL, b"\xc3\x28\xa0\xa1\x80", "not_utf8"),
    *each(ALL, DEEP, "bad_json"),
    *each(ALL, b"[" * 10_000, "bad_json"),
    *each(ALL, b'{"voltage_dc": 1', "bad_json"),
    *each(ALL, b'{"voltage_dc": 1}}', "bad_json"),
    *each(JSON_ONLY, b"\x00", "bad_json"),
    (F2, b"\x00", "bad_value"),
    *each(ALL, b'{"a\x00b": 1}', "bad_json"),
    *each(JSON_ONLY, b'"text"', "bad_root"),
    *each(JSON_ONLY, b"[1, 2]", "bad_root"),
    *[(topic, payload, "not_finite") for topic, payload in values(b"1e400")],
    *[(topic, payload, "not_finite") for topic, payload in values(b"-1e400")],
    *[(topic, payload, "not_finite") for topic, payload in values(DIGITS)],
    *[(topic, payload, "not_finite") for topic, payload in values(MANY_DIGITS)],
    *[
        (topic, payload, "bad_json" if topic is F2 else "not_finite")
        for word in (b"NaN", b"Infinity", b"-Infinity")
        for topic, payload in values(word)
    ],
    *[
        (topic, payload, "bad_value")
        for topic, payload in values(b'"12 V\\u0000"')
        if topic in (METER, SENSOR)
    ],
    (F2, b"x" * 262_145, "too_large"),
    *each(JSON_ONLY, b" " * 2_097_153, "too_large"),
]

STRANGE = [
    ("nobody/knows/this", "unknown_topic", "generic"),
    ("/", "unknown_topic", "generic"),
    ("x" * 60_000, "unknown_topic", "generic"),
    ("iot/m-1/telemetry/more", "bad_topic", "meter"),
    ("iot/m-1/command", "bad_topic", "meter"),
    ("iot/a b/telemetry", "bad_device_id", "meter"),
    ("iot/" + "d" * 129 + "/telemetry", "bad_device_id", "meter"),
    ("sensors/temperature", "bad_topic", "sensors"),
    ("sensors/UPPER/s-1", "bad_topic", "sensors"),
    ("stat/gate/only/four", "bad_topic", "f2"),
    ("tele/dev-17/access-control-mode/J2/strike-1", "bad_topic", "f2"),
    ("cmnd/gate//J2/strike-1", "bad_topic", "f2"),
]

_names = count()


def shown(case: tuple[str, bytes, str]) -> str:
    return f"{FAMILY[case[0]]}-{case[2]}-{len(case[1])}"


@pytest.fixture(scope="module")
def hit(stack: Stack) -> Stack:
    """The stack after all hostile payloads, each between two good ones, and strange topics."""
    messages = []
    for number, (topic, payload, _) in enumerate(HOSTILE):
        bodies = (GOOD[topic] % 1, payload, GOOD[topic] % 2)
        messages += [(topic.format(f"bad_{number}"), body) for body in bodies]
    publish(stack.mqtt, *messages, *((topic, b'{"voltage": 1}') for topic, *_ in STRANGE))
    books = stack.wait_until_drained()
    assert books["difference"] == 0
    dead = sum(row["dead_letter"] for row in books["families"])
    assert dead == len(HOSTILE) + len(STRANGE)
    assert sum(row["stored"] for row in books["families"]) == 2 * len(HOSTILE)
    return stack


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=lambda n: shown(HOSTILE[n]))
def test_f36_f39_f40_a_hostile_payload_costs_only_itself(number: int, hit: Stack) -> None:
    topic, payload, reason = HOSTILE[number]
    device = f"bad_{number}"
    hit.wait_until(lambda: latest(hit, device) == [2])
    letters = hit.rows(
        "SELECT family, reason, device_id, topic, payload, size_bytes, status FROM dead_letters"
        " WHERE topic = ?",
        topic.format(device),
    )
    kept = payload if len(payload) <= 2_097_152 else None
    assert letters == [
        (FAMILY[topic], reason, device, topic.format(device), kept, len(payload), "open")
    ]


@pytest.mark.parametrize(("topic", "reason", "family"), STRANGE, ids=lambda text: text[:30])
def test_d51_what_no_family_takes_is_kept(topic: str, reason: str, family: str, hit: Stack) -> None:
    found = hit.rows(
        "SELECT family, reason, payload FROM dead_letters WHERE topic = ?", topic[:1024]
    )
    assert found == [(family, reason, b'{"voltage": 1}')]


def latest(stack: Stack, device: str) -> list[float]:
    """Return the latest value of each series of a device."""
    found = stack.get(f"/api/latest?device_id={device}")["latest"]
    return [row["value"] for row in found]


@pytest.mark.parametrize("topic", JSON_ONLY, ids=lambda topic: FAMILY[topic])
def test_mtr020_of_equal_keys_the_last_one_counts(topic: str, stack: Stack) -> None:
    device = f"gate_{next(_names)}"
    body = (GOOD[topic] % 7).replace(b": 7", b": 6") + b"}"
    name = body.split(b'"')[-2]
    twice = (GOOD[topic] % 7).replace(b": 7", b': 6, "%s": 7' % name)
    publish(stack.mqtt, (topic.format(device), twice))
    stack.wait_until(lambda: latest(stack, device) == [7])


@pytest.mark.parametrize("topic", [METER, SENSOR, GENERIC], ids=lambda topic: FAMILY[topic])
def test_f40_f41_thousands_of_keys_stay_within_the_budget(topic: str, stack: Stack) -> None:
    device = f"gate_{next(_names)}"
    payload = b'{"data":%s}' % KEYS if topic is SENSOR else KEYS
    publish(stack.mqtt, (topic.format(device), payload))
    stack.wait_until(lambda: letters_of(stack, device) == {"cardinality": 2_000})
    (series,) = stack.rows("SELECT count(*) FROM series WHERE device_id = ?", device)[0]
    assert series == 1_000
    # The bytes are kept once and again, but never thousands of times.
    (size,) = stack.rows(
        "SELECT sum(length(payload)) FROM dead_letters WHERE device_id = ?", device
    )[0]
    assert len(payload) <= size <= 2_097_152


def test_f2_025_f40_at_most_256_values_of_a_message(stack: Stack) -> None:
    device = f"gate_{next(_names)}"
    doors = b"{" + b",".join(b'"door_%d":true' % n for n in range(3_000)) + b"}"
    publish(stack.mqtt, (f"stat/{device}/access-control-mode/J2/door-sensors", doors))
    stack.wait_until(lambda: letters_of(stack, device) == {"limit": 1})


def letters_of(stack: Stack, device: str) -> dict[str, int]:
    """Return the dead letters of a device by reason."""
    return dict(
        stack.rows(
            "SELECT reason, count(*) FROM dead_letters WHERE device_id = ? GROUP BY reason", device
        )
    )


def test_f37_a_packet_beyond_the_limit_ends_its_connection_only(stack: Stack) -> None:
    reasons: list[str] = []
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id="greedy", protocol=MQTTProtocolVersion.MQTTv5
    )
    client.on_disconnect = lambda *given: reasons.append(str(given[3]))
    client.connect("127.0.0.1", stack.mqtt)
    client.loop_start()
    stack.wait_until(client.is_connected)
    client.publish(METER.format("greedy"), bytes(10_000_000), qos=1)
    stack.wait_until(lambda: bool(reasons))
    client.disconnect()
    client.loop_stop()
    assert stack.rows("SELECT 1 FROM dead_letters WHERE device_id = 'greedy'") == []
    publish(stack.mqtt, (METER.format("modest"), b'{"voltage_dc": 5}'))
    stack.wait_until(lambda: latest(stack, "modest") == [5])


def test_f37_256_megabytes_are_refused_at_the_header(stack: Stack) -> None:
    with socket.create_connection(("127.0.0.1", stack.mqtt), 5) as sock:
        sock.settimeout(5)
        sock.sendall(b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03bad")
        assert sock.recv(64).startswith(b"\x20")
        sock.sendall(b"\x32\xff\xff\xff\x7f\x00\x0ciot/a/status")
        assert sock.recv(64) == b"\xe0\x01\x95"
        assert sock.recv(64) == b""


@pytest.mark.parametrize(
    "topic", [b"iot/\xff/status", b"iot/\x00/status", b"iot/+/status", b"\xed\xa0\x80"]
)
def test_f38_a5_a_malformed_topic_ends_the_connection_only(topic: bytes, stack: Stack) -> None:
    with socket.create_connection(("127.0.0.1", stack.mqtt), 5) as sock:
        sock.sendall(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03bad")
        assert sock.recv(4) == b"\x20\x02\x00\x00"
        body = len(topic).to_bytes(2, "big") + topic + b"\x00\x01{}"
        sock.sendall(b"\x32" + bytes([len(body)]) + body)
        sock.settimeout(5)
        assert sock.recv(64) == b""
    assert stack.is_ready()


def test_mtr020_the_bytes_of_a_letter_beyond_2_mib_are_in_the_log(hit: Stack) -> None:
    done = hit.command("doctor", "--json")
    findings = {one["name"]: one for one in json.loads(done.stdout)}
    assert findings["log"]["is_well"], done.stdout
    rows = hit.rows("SELECT log_offset FROM dead_letters WHERE size_bytes > 2097152")
    assert len(rows) == len(JSON_ONLY)


def test_p8_after_all_that_the_books_balance_and_nothing_was_restarted(stack: Stack) -> None:
    books = stack.wait_until_drained()
    assert books["difference"] == 0
    text = stack.log.read_text()
    assert "is back" not in text
    assert "Traceback" not in text
    status, metrics = stack.role("process", "/metrics")
    assert status == 200
    assert "millrace_accounting_difference" in metrics
