"""What a Millrace answers to everything that may be asked about the stories, as bytes.

Only what is truly incidental is made equal: moments of receipt, signed cursors.
"""

import json
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urlencode

from tests.conformance.stories import STORIES

SPAN: Final = {"start": "2026-01-01T00:00:00Z", "stop": "2026-03-02T00:00:00Z"}
FUNCTIONS: Final = (
    "mean", "min", "max", "sum", "count", "first", "last", "stddev", "p50", "p95", "p99",
)  # fmt: skip

# Devices of the stories live on 1 March 2026 and before; any later moment is one of receipt.
_RECEIPT: Final = re.compile(rb"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_LAST_TOLD: Final = b"2026-03-02T00:00:00Z"
_ENVELOPE: Final = re.compile(rb'"(next|request_id)":"[^"]*"')

Fetch = Callable[..., bytes]


def answers(fetch: Fetch) -> dict[str, bytes]:
    """Return the normalised answer to each question; `fetch` asks the API."""
    found = {path: fetch(path) for path in _questions()}
    names = sorted(device for story in STORIES for device in story.devices)
    found["POST /api/latest"] = fetch("/api/latest", {"device_ids": names})
    return {path: normal(answer) for path, answer in found.items()}


def normal(answer: bytes) -> bytes:
    """Return an answer without what differs from run to run."""

    def told(found: re.Match[bytes]) -> bytes:
        return found[0] if found[0] < _LAST_TOLD else b"<receipt>"

    return _ENVELOPE.sub(rb'"\1":"<any>"', _RECEIPT.sub(told, answer))


def _questions() -> list[str]:
    span, hour = urlencode(SPAN), urlencode({**SPAN, "every": "1h"})
    functions = "&".join(f"fn={name}" for name in FUNCTIONS)
    asked = [
        "/api/devices?limit=1000",
        "/api/devices?family=meter",
        "/api/stats",
        "/api/latest?limit=1000",
        "/api/latest?metric=x&metric=voltage_dc",
        f"/api/aggregates?metric=x&{hour}&{functions}",
        f"/api/export/points?format=csv&{span}",
        f"/api/export/points?format=csv&{span}&metric=temperature_celsius",
    ]
    for device in sorted(device for story in STORIES for device in story.devices):
        place = f"/api/devices/{quote(device)}"
        asked += [
            place,
            f"{place}/status",
            f"{place}/series",
            f"{place}/events?limit=1000",
            f"{place}/metrics?{span}&limit=10000",
            f"{place}/metrics?{span}&order=desc&limit=7",
            f"{place}/aggregates?{hour}&{functions}",
            f"{place}/aggregates?{urlencode({**SPAN, 'every': '1d'})}&tz=Europe/Vienna",
        ]
    asked += [f"/api/devices/{device}/sequence" for story in STORIES for device in story.missing]
    return asked


def lines(path: str, answer: bytes) -> list[str]:
    """Return an answer as lines, so that a difference can be read."""
    if path.startswith("/api/export"):
        return answer.decode().splitlines()
    return json.dumps(json.loads(answer), indent=1).splitlines()
