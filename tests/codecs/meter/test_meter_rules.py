"""Rules of meter.md that its vectors leave open, and totality."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.codecs.meter import MeterCodec, MeterOptions
from millrace.errors import RejectError
from millrace.model.decoded import Decoded
from millrace.model.device import unknown
from millrace.model.message import REDRIVE, REPLAYED
from millrace.model.series import SeriesBook
from tests.codecs.outcome import instant, outcome

NOW = "2026-03-01T12:00:00Z"
AT = instant(NOW)
MEMBERS = [
    "ts",
    "timestamp",
    "seq",
    "measurements",
    "val",
    "type",
    "n",
    "v",
    "u",
    "unit",
    "status",
    "cmd_id",
    "result",
    "ota_state",
    "progress_pct",
    "uptime_s",
    "fw_version",
    "buf_usage_pct",
    "device_id",
    "x",
]
CATEGORIES = ["telemetry", "hello", "status", "command/ack", "ota/status"]


def decoded(
    suffix: str, body: Any, flags: int = 0, options: MeterOptions | None = None
) -> tuple[dict[str, Any], Decoded]:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    book, out = SeriesBook(), Decoded()
    out.message = 0
    topic = f"iot/m1/{suffix}"
    MeterCodec(options).compile(topic, unknown("m1", "meter"), book).decode(payload, AT, flags, out)
    return outcome(out, book), out


def telemetry(**body: Any) -> tuple[dict[str, Any], Decoded]:
    return decoded("telemetry", body)


def letters(got: dict[str, Any]) -> list[tuple[str, str, int | None]]:
    return [(row["reason"], row["element"], row["index"]) for row in got["dead_letters"]]


def values(got: dict[str, Any]) -> list[tuple[str, float, list[str]]]:
    return [(row["metric"], row["value"], row["quality"]) for row in got["readings"]]


@pytest.mark.parametrize(
    ("topic", "category"),
    [
        ("iot/m1/telemetry", "telemetry"),
        ("iot/m1/hello", "hello"),
        ("iot/m1/status", "status"),
        ("iot/m1/command/ack", "command_ack"),
        ("iot/m1/ota/status", "ota_status"),
    ],
)
def test_topics(topic: str, category: str) -> None:
    """MTR-001."""
    assert MeterCodec().address(topic) == ("meter", category, "m1")


@pytest.mark.parametrize("topic", ["", "tele/m1/telemetry", "iots/m1/telemetry", "/iot/m1/hello"])
def test_topics_of_others(topic: str) -> None:
    assert MeterCodec().address(topic) is None


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("iot", "bad_topic"),
        ("iot/m1", "bad_topic"),
        ("iot/m1/", "bad_topic"),
        ("iot/m1/command", "bad_topic"),
        ("iot/m1/telemetry/", "bad_topic"),
        ("iot/m1/Telemetry", "bad_topic"),
        ("iot//telemetry", "bad_device_id"),
        ("iot/m 1/telemetry", "bad_device_id"),
        ("iot/m1\n/telemetry", "bad_device_id"),
        (f"iot/{'m' * 129}/telemetry", "bad_device_id"),
        ("iot/mü/telemetry", "bad_device_id"),
    ],
)
def test_bad_topics(topic: str, reason: str) -> None:
    """MTR-003, MTR-004."""
    with pytest.raises(RejectError) as caught:
        MeterCodec().address(topic)
    assert caught.value.reason == reason


@given(st.text(max_size=20), st.sampled_from(["", "iot/", "iot/m1/"]))
def test_any_topic_is_taken_or_refused(text: str, root: str) -> None:
    with suppress(RejectError):
        MeterCodec().address(root + text)


@given(
    st.sampled_from(CATEGORIES),
    st.binary(max_size=60)
    | st.recursive(
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
    ).map(lambda body: json.dumps(body).encode()),
    st.sampled_from([0, REPLAYED, REDRIVE]),
)
def test_any_payload_gives_rows_or_a_refusal(suffix: str, payload: bytes, flags: int) -> None:
    """style.md 3, total."""
    reason = None
    try:
        decoded(suffix, payload, flags)
    except RejectError as error:
        reason = error.reason
    assert reason in {None, "empty_payload", "not_utf8", "bad_json", "bad_root"}


def test_payload_over_the_limit() -> None:
    """MTR-020."""
    for suffix in CATEGORIES:
        with pytest.raises(RejectError, match="too_large"):
            decoded(suffix, b" " * 101, options=MeterOptions(max_payload_bytes=100))


def test_refused_body_is_still_a_message_of_the_sequence() -> None:
    """MTR-050: it did arrive, so it is no gap; it is one letter and nothing else."""
    bodies: list[tuple[str, dict[str, Any], str]] = [
        ("telemetry", {"measurements": 5}, "bad_measurements"),
        ("status", {"status": "asleep"}, "bad_status"),
        ("command/ack", {"cmd_id": 7, "result": "accepted"}, "bad_ack"),
        ("ota/status", {"cmd_id": "c", "ota_state": "flying"}, "bad_ota"),
    ]
    for suffix, body, reason in bodies:
        got, out = decoded(suffix, {"seq": 3, "device_id": "other", **body})
        assert letters(got) == [(reason, "", None)]
        assert [fact.seq for fact in out.facts] == [3]
        assert (got["events"], got["readings"], out.reports) == ([], [], [])


def test_too_many_measurements_by_configuration() -> None:
    """MTR-040."""
    body = {"ts": NOW, "measurements": [{"type": "a", "val": 1}] * 4}
    got, _ = decoded("telemetry", body, options=MeterOptions(max_measurements=3))
    assert letters(got) == [("too_many_measurements", "", None)]
    got, _ = decoded("telemetry", body, options=MeterOptions(soft_measurements=3))
    assert values(got) == [("a", 1.0, ["oversize"])]


@pytest.mark.parametrize(
    ("seq", "usable", "text"),
    [
        (None, None, None),
        (-1, None, None),
        (0, 0, None),
        (2**32 - 1, 2**32 - 1, None),
        (2**32, None, "4294967296"),
        (-2, None, "-2"),
        (True, None, "true"),
        ([1], None, "[1]"),
        ("", None, '""'),
        (float("nan"), None, "NaN"),
        (1e10, None, "10000000000.0"),
    ],
)
def test_usable_numbers(seq: Any, usable: int | None, text: str | None) -> None:
    """MTR-050, MTR-051."""
    got, out = telemetry(ts=NOW, seq=seq, measurements=[{"type": "a", "val": 1}])
    assert [fact.seq for fact in out.facts] == ([] if usable is None else [usable])
    assert [event["seq"] for event in got["events"]] == ([] if text is None else [text])


def test_facts_of_a_message() -> None:
    """MTR-050: any category; a re-driven message is not judged again."""
    body = {"ts": NOW, "seq": 7, "uptime_s": 5, "status": "online"}
    for suffix in ("telemetry", "hello", "status"):
        _, out = decoded(suffix, body, REPLAYED)
        (fact,) = out.facts
        assert (fact.seq, fact.device_time_ns, fact.is_live) == (7, AT, False)
        assert (fact.is_hello, fact.uptime_s) == ((True, 5) if suffix == "hello" else (False, None))
        assert fact.status == ("online" if suffix == "status" else None)
        assert decoded(suffix, body, REDRIVE)[1].facts == []


def test_message_times() -> None:
    """MTR-034: an unreadable message time counts as absent."""
    element = [{"type": "a", "val": 1}]
    before = "2026-03-01T11:59:00Z"
    for body, expected, quality in (
        ({"ts": "?", "timestamp": before}, before, []),
        ({"ts": before, "timestamp": NOW}, before, []),
        ({"ts": "?"}, NOW, ["clock"]),
        ({}, NOW, ["clock"]),
    ):
        got, _ = telemetry(measurements=element, **body)
        (row,) = got["readings"]
        assert (row["time"], row["quality"]) == (instant(expected), quality)
    got, _ = telemetry(timestamp=before, ts=NOW, a=1)
    assert got["readings"][0]["time"] == instant(before)


def test_times_of_v1_elements() -> None:
    """MTR-032, MTR-034."""
    rows = [
        {"timestamp": "2026-03-01T11:59:00Z", "ts": NOW, "a": 1},
        {"timestamp": None, "ts": NOW, "a": 1},
        {"timestamp": "?", "ts": NOW, "a": 1},
    ]
    got, _ = telemetry(measurements=rows)
    assert [row["time"] for row in got["readings"]] == [instant("2026-03-01T11:59:00Z"), AT]
    assert letters(got) == [("bad_time", "measurements[2]", 2)]


def test_forms_of_elements() -> None:
    """MTR-030 to MTR-033, MTR-038."""
    elements = [
        {"val": 1, "n": "x", "v": 2},
        {"n": "x", "v": None},
        {"n": 5, "b": 2},
        {"n": None, "type": None},
        {"type": "t", "temperature": 5},
        {"val": None, "type": "t"},
        {"state": "ok"},
        {"ok": 1, "bad\n": 2, "far": 10**400},
        [],
        None,
    ]
    got, _ = telemetry(ts=NOW, seq=1, measurements=elements)
    assert values(got) == [("n", 5.0, []), ("b", 2.0, []), ("ok", 1.0, [])]
    assert letters(got) == [
        ("missing_type", "measurements[0]", 0),
        ("bad_value", "measurements[1]", 1),
        ("missing_value", "measurements[3]", 3),
        ("missing_value", "measurements[4]", 4),
        ("bad_value", "measurements[5]", 5),
        ("empty_element", "measurements[6]", 6),
        ("bad_type", "measurements[7]", 7),
        ("not_finite", "measurements[7]", 7),
        ("not_object", "measurements[8]", 8),
        ("not_object", "measurements[9]", 9),
    ]


def test_bad_keys_of_the_flat_form() -> None:
    """MTR-031, MTR-036."""
    body = {"timestamp": NOW, "a": float("nan"), "x" * 300: 1, "t": "5", "b": 2, "unit": "V"}
    got, _ = decoded("telemetry", body)
    assert [(r["metric"], r["unit"], r["channel"]) for r in got["readings"]] == [("b", "V", "V")]
    assert letters(got) == [("not_finite", "a", None), ("bad_type", "x" * 255, None)]


def test_unit_of_the_flat_form_needs_a_single_metric() -> None:
    """MTR-031."""
    got, _ = telemetry(timestamp=NOW, a=1, b=2, unit="V")
    assert [row["unit"] for row in got["readings"]] == [None, None]


def test_v2_without_measurements_may_be_flat() -> None:
    """MTR-031: only an empty array of a v2 message is none."""
    got, _ = telemetry(ts=NOW, seq=1, v=2, a=1)
    assert values(got) == [("a", 1.0, [])]
    got, _ = telemetry(ts=NOW, seq=1, a=1, measurements=[])
    assert (values(got), [e["kind"] for e in got["events"]]) == ([], ["empty_message"])


def test_channels() -> None:
    """meter.md 3: registered unit or none gives the empty channel; ranges speak of that unit."""
    elements = [
        {"type": "voltage_dc", "val": 1e6, "unit": unit, "ts": 1772366000 + n}
        for n, unit in enumerate(["V", None, "", "kV"])
    ]
    got, _ = telemetry(measurements=[*elements, {"type": "x", "val": 1, "unit": "V"}], ts=NOW)
    assert [(r["channel"], r["unit"], r["quality"]) for r in got["readings"]] == [
        ("", "V", ["range"]),
        ("", None, ["range"]),
        ("", None, ["range"]),
        ("kV", "kV", []),
        ("V", "V", []),
    ]


def test_wrong_clock_moves_all_times_and_keeps_distances() -> None:
    """MTR-042."""
    elements = [
        {"type": "a", "val": 1, "ts": "2099-01-01T00:00:00Z"},
        {"type": "a", "val": 2, "ts": "2098-12-31T23:59:50Z"},
        {"type": "a", "val": 3, "ts": "1990-01-01T00:00:00Z"},
        {"type": "a", "val": "x", "ts": NOW},
    ]
    got, _ = telemetry(seq=1, measurements=elements)
    assert [row["time"] for row in got["readings"]] == [AT, AT - 10 * 10**9]
    assert letters(got) == [
        ("bad_value", "measurements[3]", 3),
        ("time_range", "measurements[2]", 2),
    ]
    assert [(e["claimed"], e["received"]) for e in got["events"]] == [("2099-01-01T00:00:00Z", NOW)]


def test_time_limits_are_inclusive() -> None:
    """MTR-042."""
    texts = ["2000-01-01T00:00:00Z", "1999-12-31T23:59:59.999Z", "2026-03-01T12:10:00Z"]
    elements = [{"type": "a", "val": n, "ts": text} for n, text in enumerate(texts)]
    got, _ = telemetry(measurements=elements, seq=1)
    assert [value for _, value, _ in values(got)] == [0, 2]


def test_hello_fields() -> None:
    """MTR-060."""
    body = {"uptime_s": 3600.0, "broker_connections": True, "temp_internal": None, "ts": NOW}
    got, out = decoded("hello", body | {"buf_usage_pct": float("inf"), "fw_version": "x" * 51})
    assert values(got) == [("meta_uptime_s", 3600.0, [])]
    assert sorted(letters(got)) == [
        ("bad_value", "broker_connections", None),
        ("bad_value", "fw_version", None),
        ("not_finite", "buf_usage_pct", None),
    ]
    assert [report.data for report in out.reports] == [{"uptime_s": 3600.0}]


@pytest.mark.parametrize("ts", [None, "?", "1999-12-31T23:59:59Z", "2026-03-01T12:10:00.001Z"])
def test_hello_outside_takes_the_receipt(ts: str | None) -> None:
    """MTR-042."""
    got, _ = decoded("hello", {"ts": ts, "uptime_s": 1})
    assert [(r["time"], r["quality"]) for r in got["readings"]] == [(AT, ["clock"])]
    assert got["events"] == []


def test_reports() -> None:
    """MTR-061 to MTR-063."""
    _, out = decoded("status", {"status": "offline"})
    assert [(r.kind, r.data) for r in out.reports] == [("status", {"status": "offline"})]
    _, out = decoded("command/ack", {"cmd_id": "c", "result": "error", "detail": 5})
    assert out.reports[0].data == {"cmd_id": "c", "result": "error", "detail": None}
    body = {"cmd_id": "c", "ota_state": "failed", "progress_pct": 40, "detail": "sha256"}
    _, out = decoded("ota/status", body | {"fw_version_target": "2.2.0"})
    assert (out.reports[0].kind, out.reports[0].data) == (
        "ota",
        {
            "cmd_id": "c",
            "ota_state": "failed",
            "progress_pct": 40,
            "fw_version_target": "2.2.0",
            "detail": "sha256",
        },
    )


@pytest.mark.parametrize("progress", [-1, 101, 1.5, "5", True])
def test_bad_progress_is_refused_alone(progress: Any) -> None:
    """MTR-063."""
    body = {"cmd_id": "c", "ota_state": "verifying", "progress_pct": progress}
    got, out = decoded("ota/status", body)
    assert letters(got) == [("bad_value", "progress_pct", None)]
    assert out.reports[0].data["progress_pct"] is None


def test_mismatches_in_order() -> None:
    """MTR-005, MTR-006, MTR-051."""
    body = {"device_id": 5, "msg_type": ["x"], "seq": "y", "ts": NOW, "uptime_s": 1}
    got, _ = decoded("hello", body)
    assert [(e["kind"], *list(e.values())[2:3]) for e in got["events"]] == [
        ("id_mismatch", "5"),
        ("msg_type_mismatch", '["x"]'),
        ("bad_seq", '"y"'),
    ]
    assert values(got) == [("meta_uptime_s", 1.0, ["bad_seq", "id_mismatch"])]
