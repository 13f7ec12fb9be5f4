"""All tables of vectors/f2.json (F2-220)."""

import json
from pathlib import Path
from typing import Any

import pytest

from millrace.codecs.f2 import F2Codec
from millrace.model.device import unknown
from tests.codecs.f2.rows import profile_of
from tests.codecs.outcome import compare, decode, instant, payload_bytes

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "f2.json").read_text()
)


@pytest.mark.parametrize("repeat", [1, 3], ids=["first", "warm"])
@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["id"])
def test_messages(vector: dict[str, Any], repeat: int) -> None:
    codec = F2Codec()
    topic = vector["topic"]
    profile = unknown("?", "f2")
    try:
        address = codec.address(topic)
    except Exception:  # noqa: BLE001 - decode below says which error it is
        address = None
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
