"""The generic codec: its vectors, and patterns that are refused at the start (decisions.md)."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.codecs import built_in
from millrace.codecs.generic import GenericCodec, GenericPattern, GenericReading
from millrace.errors import RejectError, UsageError
from millrace.model.decoded import Decoded
from millrace.model.device import unknown
from millrace.model.series import SeriesBook
from tests.codecs.outcome import compare, decode, instant, payload_bytes

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "generic.json").read_text()
)
RECEIVED_NS = instant("2025-07-02T12:00:00Z")


def pattern_of(row: dict[str, Any]) -> GenericPattern:
    readings = row.get("readings")
    if isinstance(readings, list):
        readings = [GenericReading(**reading) for reading in readings]
    return GenericPattern(row["topic"], row.get("time"), readings)


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["id"])
def test_vectors(vector: dict[str, Any]) -> None:
    codec = GenericCodec([pattern_of(vector["pattern"])])
    got = decode(
        codec,
        vector["topic"],
        payload_bytes(vector["payload"]),
        instant(vector["received_at"]),
        unknown("?", "generic"),
        repeat=2,
    )
    compare(vector["expected"], got)


@pytest.mark.parametrize(
    ("topic", "word"),
    [
        ("stat/{device_id}/a", "built-in"),
        ("iot/{device_id}/telemetry", "built-in"),
        ("sensors/{device_id}", "built-in"),
        ("+/{device_id}", "first level"),
        ("#", "first level"),
        ("{device_id}/data", "first level"),
        ("$SYS/{device_id}", "first level"),
        ("a/b", "{device_id}"),
        ("a/{device_id}/{device_id}", "{device_id}"),
        ("a/{channel}/{channel}/{device_id}", "{channel}"),
        ("a/#/{device_id}", "last level"),
        ("a/x{device_id}/{device_id}", "neither"),
        ("a/b+/{device_id}", "neither"),
    ],
)
def test_a_pattern_that_cannot_work_is_refused(topic: str, word: str) -> None:
    with pytest.raises(UsageError, match=r".") as caught:
        built_in(generic=[GenericPattern(topic)])
    assert word in str(caught.value)


def test_all_faults_are_reported_at_once() -> None:
    patterns = [
        GenericPattern("stat/{device_id}"),
        GenericPattern("a/{device_id}/data", time="x..y"),
        GenericPattern("a/+/{device_id}", readings=[GenericReading("v", scale=0.0)]),
    ]
    with pytest.raises(UsageError) as caught:
        built_in(generic=patterns)
    for word in ("built-in", "x..y", "scale", "overlap"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "is_overlap"),
    [
        ("a/{device_id}", "a/{device_id}/b", False),
        ("a/{device_id}", "a/+/{device_id}", False),
        ("a/{device_id}/#", "a/b/{device_id}", True),
        ("a/{device_id}/x", "a/{device_id}/y", False),
        ("a/{device_id}/x", "a/y/{device_id}", True),
        ("a/{device_id}/#", "a/{device_id}", True),
        ("a/{device_id}", "b/{device_id}", False),
    ],
)
def test_overlapping_patterns_are_refused(one: str, other: str, is_overlap: bool) -> None:  # noqa: FBT001 - a table column
    patterns = [GenericPattern(one), GenericPattern(other)]
    if is_overlap:
        with pytest.raises(UsageError, match="overlap"):
            GenericCodec(patterns)
    else:
        GenericCodec(patterns)


def test_the_first_level_chooses_the_family() -> None:
    """D-51."""
    codec = GenericCodec([GenericPattern("factory/{device_id}/data")])
    assert codec.address("elsewhere/x/data") is None
    address = codec.address("factory/x/data")
    assert address is not None
    assert tuple(address) == ("generic", "telemetry", "x")
    for topic, reason in (("factory/x", "bad_topic"), ("factory/ü/data", "bad_device_id")):
        with pytest.raises(RejectError) as caught:
            codec.address(topic)
        assert caught.value.reason == reason


def test_of_equal_series_the_last_wins() -> None:
    """MTR-043."""
    readings = [GenericReading("a", metric="m"), GenericReading("b", metric="m")]
    plan = GenericCodec([GenericPattern("f/{device_id}", readings=readings)]).compile(
        "f/x", unknown("x", "generic"), SeriesBook()
    )
    out = Decoded()
    plan.decode(b'{"a": 1, "b": 2}', RECEIVED_NS, 0, out)
    assert (out.values, out.overwritten) == ([2.0], 1)


def test_more_than_two_hundred_values_are_flagged() -> None:
    """MTR-040."""
    codec = GenericCodec([GenericPattern("f/{device_id}")])
    body = {"ts": "2025-07-02T12:00:00Z", **{f"m{number}": number for number in range(201)}}
    got = decode(codec, "f/x", json.dumps(body).encode(), RECEIVED_NS, unknown("x", "generic"))
    assert {tuple(reading["quality"]) for reading in got["readings"]} == {("oversize",)}
    assert [event["count"] for event in got["events"]] == [201]


def test_an_empty_message_is_an_event() -> None:
    """MTR-041."""
    codec = GenericCodec([GenericPattern("f/{device_id}")])
    got = decode(codec, "f/x", b'{"name": "n"}', RECEIVED_NS, unknown("x", "generic"))
    assert [event["kind"] for event in got["events"]] == ["empty_message"]
    assert not got["readings"]
    assert not got["dead_letters"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["ts", "a", "b", "0"]) | st.text(max_size=4), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(payload=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_readings_or_a_rejection(payload: bytes) -> None:
    patterns = [
        GenericPattern("f/{device_id}"),
        GenericPattern("g/{device_id}", "a.ts", "*.b"),
        GenericPattern("h/{device_id}", None, [GenericReading("a.0.b", scale=1e300)]),
    ]
    codec = GenericCodec(patterns)
    for topic in ("f/x", "g/x", "h/x"):
        got = decode(codec, topic, payload, RECEIVED_NS, unknown("x", "generic"), repeat=2)
        assert got["readings"] or got["events"] or got["dead_letters"]
