"""Payloads in raw records come back byte for byte. Source: F2-120, D-50."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.model.records import (
    PAYLOAD,
    TIMESTAMP,
    embedded,
    in_base64,
    raw_record,
    unpacked,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "f2.json").read_text())

ODD = [
    b"", b'""', b'"a"', b' "a" ', b"{}", b' {"a": 1}\n', b'{"base64": "AA=="}', b'{"base64":1}',
    b'{"base64":"AA==","b":1}', b'{"base64":"A","base64":"B"}', b"\xef\xbb\xbf{}", b"\xff", b"nul",
    b"1e400", b"NaN", b"[" * 40, b'{"a":"\\ud800"}', b'"\\ud800"', b"\x00", b'{"timestamp": 1}',
    b'{"x": 1, "payload": {"y": 2}, "timestamp": 3}',
]  # fmt: skip


@pytest.mark.parametrize("payload", ODD)
def test_odd_payloads_come_back(payload: bytes) -> None:
    assert unpacked(embedded(payload)) == payload
    json.loads(raw_record("t", payload, 1))


@given(st.binary() | st.text().map(str.encode))
def test_any_payload_comes_back(payload: bytes) -> None:
    assert unpacked(embedded(payload)) == payload
    assert unpacked(in_base64(payload)) == payload


@given(st.text(), st.text(), st.binary() | st.text().map(str.encode))
def test_the_payload_stands_between_its_marks(topic: str, client: str, payload: bytes) -> None:
    record = raw_record(topic, payload, 1, client_id=client)
    begin, end = record.find(PAYLOAD) + len(PAYLOAD), record.rfind(TIMESTAMP)
    assert unpacked(record[begin:end]) == payload
