"""JSON documents of devices: F2-020, F2-024."""

import math

import pytest

from millrace.errors import RejectError
from millrace.model.documents import MAX_NESTING, read_json, read_text


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b'{"a": 1, "b": 2, "a": 3}', {"a": 3, "b": 2}),
        (b"\xef\xbb\xbf[1]", [1]),
        (b"[1e400, -1e400]", [math.inf, -math.inf]),
        (b"1" * 5000, math.inf),
        (b"123456789012345678901", 123456789012345678901),
        (rb'["\ud800x", "\ud83d\ude00"]', ["\ufffdx", "\U0001f600"]),
        (b"[" * MAX_NESTING + b"]" * MAX_NESTING, None),
        (b'"' + b"[" * 50 + b'"', "[" * 50),
    ],
)
def test_good_documents(payload: bytes, value: object) -> None:
    got = read_json(payload)
    assert value is None or got == value


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "bad_json"),
        (b"NaN", "bad_json"),
        (b"[Infinity]", "bad_json"),
        (b"{'a': 1}", "bad_json"),
        (b"[1,]", "bad_json"),
        (b"01", "bad_json"),
        (b'"\x01"', "bad_json"),
        (b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1), "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, "bad_json"),
        (b'{"a": "\xff"}', "not_utf8"),
        (b"\xed\xa0\x80", "not_utf8"),
    ],
)
def test_bad_documents(payload: bytes, reason: str) -> None:
    with pytest.raises(RejectError) as caught:
        read_json(payload)
    assert caught.value.reason == reason


def test_text_without_its_byte_order_mark() -> None:
    assert read_text("\ufeffä".encode()) == "ä"
