"""Datagrams decoded together give what the exact way gives, or are left to it."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from millrace.codecs.meter import MeterCodec, MeterOptions
from millrace.codecs.meter.telemetry import TelemetryPlan
from millrace.errors import RejectError
from millrace.model.codec import Messages
from millrace.model.decoded import Decoded
from millrace.model.device import unknown
from millrace.model.message import REDRIVE
from millrace.model.series import SeriesBook
from tests.codecs.outcome import instant, outcome

AT = instant("2026-03-01T12:00:00Z")
NOW = "2026-03-01T12:00:00Z"


def plan_of(book: SeriesBook, options: MeterOptions | None = None) -> TelemetryPlan:
    plan = MeterCodec(options).compile("iot/m1/telemetry", unknown("m1", "meter"), book)
    assert isinstance(plan, TelemetryPlan)
    return plan


def exactly(plan: TelemetryPlan, book: SeriesBook, payload: bytes, flags: int) -> Any:
    out = Decoded()
    out.message = 0
    return found(lambda: plan.decode(payload, AT, flags, out), book, out)


def together(plan: TelemetryPlan, book: SeriesBook, payload: bytes, flags: int) -> Any:
    out = Decoded()
    out.message = 0
    assert plan.together is not None
    if plan.together.decode(Messages([plan], [payload], [AT], [flags], [0]), out):
        assert not out.blocks
        assert not out.facts
        return exactly(plan, book, payload, flags)
    return found(lambda: None, book, out)


def found(decode: Callable[[], None], book: SeriesBook, out: Decoded) -> Any:
    try:
        decode()
    except RejectError as error:
        return error.reason, error.element, error.index
    return outcome(out, book), out.facts, out.overwritten


rarely_odd: st.SearchStrategy[Any] = st.sampled_from([None, 5, 5.0, 1e400, "x", True, -1, [], {}])
times = st.sampled_from(
    [
        NOW,
        "2026-03-01T11:59:59.250Z",
        "2026-03-01T11:59:58.123456789Z",
        "2026-03-01 11:59:58",
        "2026-03-01T12:10:00.001Z",
        "1970-01-01T00:00:10Z",
        1772366399,
        1772366399.0,
        1772366399000000001,
        1772366399000000001.0,
        "yesterday",
        "",
    ]
)
names = st.sampled_from(["voltage_dc", "current_dc", "temperature", "pf", "x", "y", "", "a\n"])
units = st.sampled_from(["V", "A", "Cel", "kV", "", "x" * 33])
values = st.floats(-100, 100, allow_nan=False) | st.sampled_from([1e9, 2**70, float("nan"), -0.0])
elements = st.fixed_dictionaries(
    {},
    optional={
        "type": names | rarely_odd,
        "val": values | rarely_odd,
        "unit": units | rarely_odd,
        "ts": times | rarely_odd,
    },
)
good_elements = st.fixed_dictionaries(
    {"type": names, "val": st.integers(-40, 40) | st.floats(-1, 1)},
    optional={"unit": units, "ts": times},
)
bodies = st.fixed_dictionaries(
    {"measurements": st.lists(good_elements | elements, max_size=6) | rarely_odd},
    optional={
        "v": st.just(2) | rarely_odd,
        "device_id": st.sampled_from(["m1", "m2"]) | rarely_odd,
        "ts": times | rarely_odd,
        "seq": st.integers(-2, 2**32 + 1) | rarely_odd,
        "msg_type": st.sampled_from(["telemetry", "hello"]) | rarely_odd,
        "timestamp": times,
        "humidity": values,
    },
)


@settings(max_examples=400)
@given(st.lists(bodies, min_size=1, max_size=3), st.sampled_from([0, REDRIVE]))
@example([{"measurements": [{"type": "x", "val": 1, "ts": 1772366399000000001}] * 2, "seq": 1}], 0)
def test_together_and_exact_agree(sent: list[dict[str, Any]], flags: int) -> None:
    book, exact_book = SeriesBook(), SeriesBook()
    plan, exact = plan_of(book), plan_of(exact_book)
    for body in sent:
        payload = json.dumps(body).encode()
        got = together(plan, book, payload, flags)
        assert got == exactly(exact, exact_book, payload, flags)


def test_cardinality_stops_new_series_only() -> None:
    """MTR-045."""
    book = SeriesBook(max_per_device=2)
    plan = plan_of(book)
    body = {"ts": NOW, "seq": 1, "measurements": [{"type": t, "val": 1} for t in "abca"]}
    got, _, overwritten = together(plan, book, json.dumps(body).encode(), 0)
    assert [r["metric"] for r in got["readings"]] == ["b", "a"]
    assert got["dead_letters"] == [
        {"reason": "cardinality", "element": "measurements[2]", "index": 2}
    ]
    assert overwritten == 1
