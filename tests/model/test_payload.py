"""Reading JSON bodies: every refusal, and that the fast reader decides nothing (MTR-020)."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millrace.errors import RejectError
from millrace.model.documents import read_exactly
from millrace.model.payload import (
    foreign_id,
    json_text,
    metric_name,
    number,
    parse_object,
    unit_text,
)
from millrace.model.quality import BAD_UNIT

LIMIT = 1000


def reason(body: bytes, limit: int = LIMIT) -> str:
    with pytest.raises(RejectError) as caught:
        parse_object(body, limit)
    return caught.value.reason


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"x" * (LIMIT + 1), "too_large"),
        (b"", "empty_payload"),
        (b'{"a":"\xff"}', "not_utf8"),
        (b'{"\xc3\x28":1}', "not_utf8"),
        (b"{", "bad_json"),
        (b"   ", "bad_json"),
        (b"\xef\xbb\xbf", "bad_json"),
        (b"{'a':1}", "bad_json"),
        (b'{"a":01}', "bad_json"),
        (b'{"a":1}x', "bad_json"),
        (b'{"a":"\x01"}', "bad_json"),
        (b"[]", "bad_root"),
        (b"NaN", "bad_root"),
        (b"null", "bad_root"),
        (b"[" * 900, "bad_json"),
        (b"[" * 33 + b"]" * 33, "bad_json"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "bad_json"),
        (b'{"a":' + b"[" * 33 + b"]" * 33 + b',"a":1}', "bad_json"),
        (b'{"a":NaN,"b":' + b"[" * 32 + b"]" * 32 + b"}", "bad_json"),
    ],
)
def test_refusals(body: bytes, expected: str) -> None:
    assert reason(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"a":1e400,"b":-1e400}', {"a": math.inf, "b": -math.inf}),
        (b'{"a":Infinity,"b":-Infinity}', {"a": math.inf, "b": -math.inf}),
        (b'{"a":' + b"9" * 401 + b',"b":-' + b"9" * 5000 + b"}", {"a": math.inf, "b": -math.inf}),
        (b'{"a":' + b"9" * 399 + b"}", {"a": int("9" * 399)}),
        (rb'{"a":"\ud83d\ude00"}', {"a": "\U0001f600"}),
        (rb'{"a":"\ud800","b":Infinity}', {"a": "\ufffd", "b": math.inf}),
        (rb'{"\udc00x":[1,"\ud800"]}', {"\ufffdx": [1, "\ufffd"]}),
        (b'{"a":"' + b"[" * 40 + b'"}', {"a": "[" * 40}),
        (rb'{"a":"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}', {"a": '\\"' + "[" * 36}),
    ],
)
def test_accepted(body: bytes, expected: dict[str, Any]) -> None:
    assert parse_object(body, 10_000) == expected


def test_thirty_two_levels_are_accepted_however_wide() -> None:
    deep = b'{"a":' + b"[" * 31 + b"]" * 31 + b',"b":[' + b"[],{}," * 50 + b"1]}"
    assert len(parse_object(deep, 10_000)["b"]) == 101


def test_many_open_quotes_take_linear_time() -> None:
    body = b'{"a":"' + b'\\"' * 1_000_000 + b"[" * 40
    assert reason(body, 4_000_000) == "bad_json"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4), st.booleans())
@example({"a": -0.0, "b": 2**64, "c": 10**30, "d": 5e-324, "e": 1.7976931348623157e308}, False)  # noqa: FBT003 - as drawn
def test_both_readers_agree_on_json(body: dict[str, Any], escaped: bool) -> None:  # noqa: FBT001 - drawn
    text = json.dumps(body, ensure_ascii=escaped).encode()
    assert repr(parse_object(text, 10**6)) == repr(read_exactly(text, has_tokens=True))


@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,\\u0dD8eE+-.1N ', max_size=30))
def test_both_readers_agree_on_anything(body: bytes | str) -> None:
    raw = b'{"a":' + (body if isinstance(body, bytes) else body.encode()) + b"}"

    def run(read: Any) -> str:
        try:
            return repr(read(raw))
        except RejectError as error:
            return error.reason

    assert run(lambda b: parse_object(b, 10**6)) == run(lambda b: read_exactly(b, has_tokens=True))


@pytest.mark.parametrize(
    ("value", "expected"), [(True, 1.0), (False, 0.0), (7, 7.0), (2**53 + 1, 2.0**53), (-0.5, -0.5)]
)
def test_numbers(value: object, expected: float) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12", "bad_value"),
        (None, "bad_value"),
        ([], "bad_value"),
        (math.nan, "not_finite"),
        (-math.inf, "not_finite"),
        (10**400, "not_finite"),
    ],
)
def test_no_numbers(value: object, expected: str) -> None:
    with pytest.raises(RejectError) as caught:
        number(value)
    assert caught.value.reason == expected


@pytest.mark.parametrize("name", ["", "a" * 129, "a\x00", "a\n", "\x85", 5, None, ["a"]])
def test_bad_metric_names(name: object) -> None:
    with pytest.raises(RejectError, match="bad_type"):
        metric_name(name)


def test_units() -> None:
    assert unit_text("V") == ("V", 0)
    assert unit_text(None) == unit_text("") == (None, 0)
    assert unit_text(5) == unit_text("x" * 33) == (None, BAD_UNIT)


def test_claimed_ids() -> None:
    assert foreign_id({}, "m1") is None
    assert foreign_id({"device_id": None}, "m1") is None
    assert foreign_id({"device_id": "m1"}, "m1") is None
    assert foreign_id({"device_id": 5}, "5") is None
    assert foreign_id({"device_id": "M1"}, "m1") == "M1"
    assert foreign_id({"device_id": {"a": [1, True]}}, "m1") == '{"a":[1,true]}'
    assert len(foreign_id({"device_id": "x" * 5000}, "m1") or "") == 256


def test_json_text() -> None:
    assert json_text("17") == '"17"'
    assert json_text(3.5) == "3.5"
    assert json_text({"a": [1, None]}) == '{"a":[1,null]}'
