"""Rules of sensors.md that its vectors leave open, and totality."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.codecs.sensors import SensorsCodec, SensorsOptions
from millrace.errors import RejectError
from millrace.model.decoded import Decoded
from millrace.model.device import unknown
from millrace.model.series import SeriesBook
from tests.codecs.outcome import instant, outcome

NOW = "2026-03-01T12:00:00Z"
AT = instant(NOW)
MEMBERS = [
    "timestamp",
    "ts",
    "data",
    "metadata",
    "device_id",
    "device_type",
    "location",
    "battery_level",
    "temperature_celsius",
    "x",
]


def decoded(
    body: Any, kind: str = "temperature", options: SensorsOptions | None = None
) -> tuple[dict[str, Any], Decoded]:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    book, out = SeriesBook(), Decoded()
    plan = SensorsCodec(options).compile(f"sensors/{kind}/t1", unknown("t1", "sensors"), book)
    plan.decode(payload, AT, 0, out)
    return outcome(out, book), out


def letters(got: dict[str, Any]) -> list[tuple[str, str]]:
    return [(row["reason"], row["element"]) for row in got["dead_letters"]]


def kinds(got: dict[str, Any]) -> list[str]:
    return [event["kind"] for event in got["events"]]


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("sensors", "bad_topic"),
        ("sensors/temperature", "bad_topic"),
        ("sensors/temperature/a/b", "bad_topic"),
        ("sensors/Temp/a", "bad_topic"),
        ("sensors//a", "bad_topic"),
        (f"sensors/{'k' * 33}/a", "bad_topic"),
        ("sensors/temperature/", "bad_device_id"),
        ("sensors/temperature/a b", "bad_device_id"),
        ("sensors/temperature/a\n", "bad_device_id"),
    ],
)
def test_bad_topics(topic: str, reason: str) -> None:
    """SNS-001, SNS-002."""
    with pytest.raises(RejectError) as caught:
        SensorsCodec().address(topic)
    assert caught.value.reason == reason


def test_addresses() -> None:
    assert SensorsCodec().address("sensors/gps/van-7") == ("sensors", "sensor", "van-7")
    assert SensorsCodec().address("sensor/gps/van-7") is None
    assert SensorsCodec().address("iot/m1/telemetry") is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(MEMBERS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(
    st.binary(max_size=60) | json_values.map(lambda body: json.dumps(body).encode()),
    st.sampled_from(["temperature", "odd"]),
)
def test_any_payload_gives_rows_or_a_refusal(payload: bytes, kind: str) -> None:
    """style.md 3, total."""
    reason = None
    try:
        decoded(payload, kind)
    except RejectError as error:
        reason = error.reason
    assert reason in {None, "empty_payload", "not_utf8", "bad_json", "bad_root"}


def test_too_large() -> None:
    """SNS-025."""
    with pytest.raises(RejectError, match="too_large"):
        decoded(b"{}" * 51, options=SensorsOptions(max_payload_bytes=100))


def test_foreign_id() -> None:
    """SNS-003."""
    got, _ = decoded({"device_id": "t2", "timestamp": NOW, "data": {"x": 1}})
    assert [row["quality"] for row in got["readings"]] == [["id_mismatch"]]
    assert got["events"][0]["payload_device_id"] == "t2"


def test_parts_that_are_no_objects() -> None:
    """SNS-022, SNS-023."""
    got, _ = decoded({"timestamp": NOW, "data": [1], "metadata": "x"})
    assert letters(got) == [("bad_value", "data"), ("bad_value", "metadata")]
    assert kinds(got) == []
    got, _ = decoded({"timestamp": NOW, "data": None, "metadata": {"x": 1}})
    assert kinds(got) == ["no_data"]
    got, _ = decoded({"timestamp": NOW, "data": {}})
    assert kinds(got) == ["empty_message"]


def test_bad_members() -> None:
    """SNS-023."""
    data: dict[str, Any] = {
        "motion": None,
        "count": [],
        "x": None,
        "y": float("inf"),
        "": 1,
        "z" * 300: 1,
    }
    got, _ = decoded({"timestamp": NOW, "data": data, "metadata": {"battery_level": {}}})
    assert letters(got) == [
        ("bad_value", "data.motion"),
        ("bad_value", "data.count"),
        ("not_finite", "data.y"),
        ("bad_type", "data."),
        ("bad_type", ("data." + "z" * 300)[:255]),
        ("bad_value", "metadata.battery_level"),
    ]


@pytest.mark.parametrize(
    ("body", "expected", "events"),
    [
        ({"timestamp": "?", "ts": "2026-03-01T11:00:00Z"}, "2026-03-01T11:00:00Z", []),
        ({"timestamp": "2000-01-01T00:00:00Z"}, "2000-01-01T00:00:00Z", []),
        ({"timestamp": "2026-03-01T12:10:00Z"}, "2026-03-01T12:10:00Z", []),
        ({"timestamp": "1999-12-31T23:59:59Z"}, None, ["clock_fault"]),
        ({"timestamp": "2026-03-01T12:10:00.001Z", "ts": NOW}, None, ["clock_fault"]),
        ({"timestamp": "?"}, None, []),
    ],
)
def test_times(body: dict[str, Any], expected: str | None, events: list[str]) -> None:
    """SNS-024."""
    got, _ = decoded(body | {"data": {"x": 1}})
    (row,) = got["readings"]
    assert (row["time"], row["quality"]) == (
        (AT, ["clock"]) if expected is None else (instant(expected), [])
    )
    assert kinds(got) == events


def test_descriptions() -> None:
    """SNS-010, SNS-011, SNS-026."""
    for said, expected in (
        ({"device_type": "", "location": ""}, {"device_type": "gps_sensor"}),
        ({"device_type": 5, "location": 5}, {"device_type": "gps_sensor"}),
        (
            {"device_type": "d" * 60, "location": "l" * 110},
            {"device_type": "d" * 50, "location": "l" * 100},
        ),
    ):
        got, out = decoded({"timestamp": NOW, "data": {"x": 1}, **said}, "gps")
        assert out.reports[0].data == expected
        assert got["readings"][0]["attributes"] == expected | {"unit": None}


def test_a_sensor_that_moves_keeps_its_series() -> None:
    """SNS-026: the attributes change, the series does not."""
    book, out = SeriesBook(), Decoded()
    plan = SensorsCodec().compile("sensors/gps/t1", unknown("t1", "sensors"), book)
    for place in ("hall", "yard", "hall"):
        body = {"timestamp": NOW, "location": place, "data": {"x": 1}}
        plan.decode(json.dumps(body).encode(), AT, 0, out)
    hall, yard, again = out.slots
    assert hall == again
    assert hall != yard
    assert book.slots[hall].key == book.slots[yard].key


def test_same_metric_from_both_parts_is_written_once() -> None:
    """MTR-043."""
    body = {"timestamp": NOW, "data": {"meta_x": 1}, "metadata": {"x": 2}}
    got, out = decoded(body)
    assert [row["value"] for row in got["readings"]] == [2]
    assert out.overwritten == 1


def test_cardinality() -> None:
    """MTR-045."""
    book, out = SeriesBook(max_per_device=1), Decoded()
    plan = SensorsCodec().compile("sensors/gps/t1", unknown("t1", "sensors"), book)
    plan.decode(json.dumps({"timestamp": NOW, "data": {"a": 1, "b": 2}}).encode(), AT, 0, out)
    assert out.values == [1]
    assert [(x.reason, x.element) for x in out.dead_letters] == [("cardinality", "data.b")]
