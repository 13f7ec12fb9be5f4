"""Asks the API as thirty people do: each waits for an answer, looks at it, and asks the next.

Every principal has a connection of its own and goes through devices, latest values, history and
aggregates in turn. An answer that is no success, or is empty where readings are, is a failure.
"""

import argparse
import asyncio
import json
import sys
import time
from array import array
from typing import Any

import httpx

from bench.load import go
from bench.report import latencies

PAUSE_S = 0.5


def questions(device_id: str) -> list[tuple[str, str, dict[str, Any], str]]:
    """Return (name, path, parameters, member that must not be empty)."""
    return [
        ("devices", "/api/devices", {"family": "f2", "limit": 100}, "devices"),
        ("latest", "/api/latest", {"device_id": device_id}, "latest"),
        (
            "history",
            f"/api/devices/{device_id}/metrics",
            {"start": "-1w", "metric": "Temperature", "limit": 1000},
            "metrics",
        ),
        (
            "aggregates",
            "/api/aggregates",
            {"device_id": device_id, "start": "-1w", "every": "1h", "fn": "mean"},
            "aggregates",
        ),
    ]


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Ask until the time is over; return delays by question, and failures."""
    names: list[str] = json.loads(await asyncio.to_thread(sys.stdin.readline))
    await go()
    delays_s: dict[str, array[float]] = {}
    failures: list[str] = []
    until = time.monotonic() + options.seconds
    async with asyncio.TaskGroup() as group:
        for number in range(options.principals):
            mine = names[number :: options.principals]
            group.create_task(_ask(options.url, mine, until, delays_s, failures))
    every = array("d", (delay for column in delays_s.values() for delay in column))
    return {
        "answers": len(every),
        "failures": failures[:10],
        "failed": len(failures),
        "all": latencies(every),
        **{name: latencies(column) for name, column in delays_s.items()},
    }


async def _ask(
    url: str,
    names: list[str],
    until: float,
    delays_s: "dict[str, array[float]]",
    failures: list[str],
) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=30) as api:
        turn = 0
        while time.monotonic() < until:
            device_id = names[turn % len(names)]
            turn += 1
            for name, path, parameters, member in questions(device_id):
                asked = time.perf_counter()
                answer = await api.get(path, params=parameters)
                delays_s.setdefault(name, array("d")).append(time.perf_counter() - asked)
                if not answer.is_success or not answer.json()[member]:
                    failures.append(f"{name}: {answer.status_code}")
                await asyncio.sleep(PAUSE_S)


def main() -> None:
    """Ask what the arguments describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--principals", type=int, default=30)
    parser.add_argument("--seconds", type=float, required=True)
    sys.stdout.write(json.dumps(asyncio.run(run(parser.parse_args()))) + "\n")


if __name__ == "__main__":
    main()
