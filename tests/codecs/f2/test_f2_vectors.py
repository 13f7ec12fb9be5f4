"""All tables of vectors/f2.json (F2-220)."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from millrace.codecs.f2 import F2Codec
from millrace.codecs.f2.commands import F2Command, build_command
from millrace.codecs.f2.display import display_text
from millrace.codecs.f2.records import decoded_record
from millrace.errors import RejectError
from millrace.model.device import DataPoint, unknown
from millrace.model.instants import DAY_NS, YEAR_2000_NS, parse_instant
from millrace.model.numbers import read_quantity
from millrace.model.records import embedded, raw_record
from millrace.model.series import SeriesBook
from tests.codecs.f2.rows import profile_of
from tests.codecs.outcome import compare, decode, instant, payload_bytes

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "f2.json").read_text()
)

# a decoded record names this message, the table of messages does not hold it
STRIKE: dict[str, Any] = {
    "id": "C01",
    "topic": "stat/f2-e4fd45f654be/access-control-mode/J2/strike-1",
    "payload": '{"timestamp": "2025-07-02 11:59:58.123456", "status": true}',
    "fixture": "none",
    "received_at": "2025-07-02T12:00:00Z",
    "expected": {"readings": [{}]},
}


@pytest.mark.parametrize("repeat", [1, 3], ids=["first", "warm"])
@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["id"])
def test_messages(vector: dict[str, Any], repeat: int) -> None:
    codec = F2Codec()
    topic = vector["topic"]
    profile = unknown("?", "f2")
    address = None
    with suppress(RejectError):
        address = codec.address(topic)
    if address is not None:
        profile = profile_of(VECTORS["fixtures"][vector["fixture"]], address.device_id)
    got = decode(
        codec,
        topic,
        payload_bytes(vector["payload"]),
        instant(vector["received_at"]),
        profile,
        repeat=repeat,
    )
    compare(vector["expected"], got)


@pytest.mark.parametrize("row", VECTORS["timestamps"], ids=lambda row: repr(row["input"]))
def test_timestamps(row: dict[str, Any]) -> None:
    """F2-031 to F2-034."""
    zone = ZoneInfo(row["time_zone"]) if row["time_zone"] else None
    time_ns = parse_instant(row["input"], zone)
    latest = instant(row["received_at"]) + DAY_NS
    if time_ns is not None and not YEAR_2000_NS <= time_ns <= latest:
        time_ns = None
    assert time_ns == (instant(row["time"]) if row["time"] else None)


@pytest.mark.parametrize("row", VECTORS["measurements"], ids=lambda row: repr(row["input"]))
def test_measurements(row: dict[str, Any]) -> None:
    """F2-190."""
    if "reason" in row:
        with pytest.raises(RejectError) as caught:
            read_quantity(row["input"])
        assert caught.value.reason == row["reason"]
    else:
        assert read_quantity(row["input"]) == (row["value"], row["unit"])


@pytest.mark.parametrize("row", VECTORS["display"], ids=lambda row: row["text"])
def test_display(row: dict[str, Any]) -> None:
    """F2-095."""
    point = DataPoint(
        1,
        "Label",
        row["encoding"],
        0,
        decimals=row["decimals"],
        prepend=row["prepend"],
        append=row["append"],
        whole_number=row["whole_number"],
    )
    assert display_text(row["value"], point) == row["text"]


@pytest.mark.parametrize("row", VECTORS["commands"], ids=lambda row: f"{row['command']}")
def test_commands(row: dict[str, Any]) -> None:
    """F2-150, F2-151."""

    def build() -> F2Command:
        return build_command(
            row["command"], row["device"], row["connector"], row["component"], row["args"]
        )

    if "error" in row:
        with pytest.raises(RejectError) as caught:
            build()
        assert caught.value.element == row["error"]
        assert caught.value.detail.startswith(f"{row['error']}: ")
        return
    command = build()
    assert (command.topic, command.payload.decode()) == (row["topic"], row["payload"])
    assert list(command.warnings) == ([row["warning"]] if "warning" in row else [])


@pytest.mark.parametrize("row", VECTORS["raw_payloads"], ids=lambda row: repr(row["payload"]))
def test_raw_payloads(row: dict[str, Any]) -> None:
    """F2-120: and the bytes can be recovered."""
    payload = payload_bytes(row["payload"])
    record = raw_record("stat/x", payload, 1685126045_107000000, device_id="x")
    members = json.loads(record)
    assert members["payload"] == row["embedded"]
    assert list(members)[:4] == ["original_topic", "device_id", "payload", "timestamp"]
    assert members["timestamp"] == 1685126045.107


@pytest.mark.parametrize("row", VECTORS["decoded_records"], ids=lambda row: row["vector"])
def test_decoded_records(row: dict[str, Any]) -> None:
    """F2-121, F2-122."""
    vector = next(
        vector for vector in [*VECTORS["vectors"], STRIKE] if vector["id"] == row["vector"]
    )
    codec = F2Codec()
    address = codec.address(vector["topic"])
    assert address is not None
    profile = profile_of(VECTORS["fixtures"][vector["fixture"]], address.device_id)
    plan = codec.compile(vector["topic"], profile, SeriesBook())
    payload = payload_bytes(vector["payload"])
    received_at_ns = instant(vector["received_at"])
    record = decoded_record(plan, payload, received_at_ns, raw_ref=(0, 1841))
    assert record is not None
    members = json.loads(record)
    assert members.pop("raw_data") == json.loads(embedded(payload))
    assert members.pop("family") == "f2"
    assert len(members.pop("readings")) == len(vector["expected"]["readings"])
    assert members == row["record"]
