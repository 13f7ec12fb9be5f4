"""Golden cases by folder: `cases/<family>/<case>/{topic,payload,expected.json}`.

A message from the field becomes a folder here, without code. `expected.json` has the instant of
receipt, what is expected, and the registry rows (`fixture` of vectors/f2.json) or the `pattern`.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from millrace.codecs import built_in
from millrace.codecs.generic import GenericPattern, GenericReading
from millrace.errors import RejectError
from millrace.model.codec import Codec
from millrace.model.device import DeviceProfile, unknown
from tests.codecs.f2.rows import profile_of
from tests.codecs.outcome import compare, decode, instant

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in (HERE / "cases").glob("*/*/topic"))
FIXTURES: dict[str, Any] = json.loads((HERE.parent / "vectors" / "f2.json").read_text())["fixtures"]


@pytest.mark.parametrize("repeat", [1, 2], ids=["first", "warm"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_case(case: Path, repeat: int) -> None:
    expected: dict[str, Any] = json.loads((case / "expected.json").read_text())
    family = case.parent.name
    topic = (case / "topic").read_text().rstrip("\n")
    got = decode(
        codec_of(family, expected),
        topic,
        (case / "payload").read_bytes(),
        instant(expected["received_at"]),
        profile(family, topic, expected),
        repeat=repeat,
    )
    compare(expected, got)


def codec_of(family: str, expected: dict[str, Any]) -> Codec:
    patterns = []
    if "pattern" in expected:
        row = expected["pattern"]
        readings = [GenericReading(**reading) for reading in row.get("readings", [])]
        patterns.append(GenericPattern(row["topic"], row.get("time"), readings or None))
    return next(codec for codec in built_in(generic=patterns) if codec.family == family)


def profile(family: str, topic: str, expected: dict[str, Any]) -> DeviceProfile:
    address = None
    with suppress(RejectError):
        address = codec_of(family, expected).address(topic)
    device_id = address.device_id if address else "unknown"
    if "fixture" in expected:
        return profile_of(FIXTURES[expected["fixture"]], device_id)
    return unknown(device_id, family)
