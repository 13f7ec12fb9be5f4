"""Asks the API for the newest readings of some devices, again and again.

The devices belong to a load of a fixed rate, so every instant at which one of them was due to send
is known. An answer that shows a newer instant than the answer before makes all due since then
queryable; each is late by what passed until the answer was here.
"""

import argparse
import json
import sys
import time
from datetime import datetime

import httpx

from bench.report import latencies

PAUSE_S = 0.01
METRIC = "Temperature"


def run(options: argparse.Namespace) -> dict[str, object]:
    """Ask until the time is over; return delays of readings and of answers."""
    devices = json.loads(sys.stdin.readline())
    query = httpx.QueryParams(
        [("device_id", name) for name in devices] + [("metric", METRIC), ("limit", "1000")]
    )
    with httpx.Client(base_url=options.url, timeout=30) as api:
        api.get("/api/latest", params=query).raise_for_status()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        since_s = time.time()
        newest: dict[str, float] = {}
        delays_s: list[float] = []
        answers_s: list[float] = []
        while time.time() < since_s + options.seconds:
            asked_s = time.time()
            answer = api.get("/api/latest", params=query).raise_for_status()
            now_s = time.time()
            answers_s.append(now_s - asked_s)
            for point in answer.json()["latest"]:
                device, at_s = point["device_id"], datetime.fromisoformat(point["time"]).timestamp()
                if at_s < since_s:
                    continue
                before_s = newest.get(device, since_s)
                newest[device] = due_s = at_s
                while due_s > before_s + options.every / 2:
                    delays_s.append(now_s - due_s)
                    due_s -= options.every
            time.sleep(PAUSE_S)
    return {"delay": latencies(delays_s), "answer": latencies(answers_s), "seen": len(newest)}


def main() -> None:
    """Ask as the arguments and the first line of standard input (a list of devices) say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--every", type=float, required=True, help="seconds between two readings")
    parser.add_argument("--seconds", type=float, required=True)
    sys.stdout.write(json.dumps(run(parser.parse_args())) + "\n")


if __name__ == "__main__":
    main()
