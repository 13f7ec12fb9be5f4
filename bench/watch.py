"""WebSocket clients: each follows the series of some devices, as a page of that many charts would.

The delay of a point is from the instant at which its message was due, which it carries, to the
moment its frame is here. One frame in `SAMPLE_EVERY` is read in full; the others are counted.
"""

import argparse
import asyncio
import json
import sys
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import httpx
import orjson
import uvloop
from websockets.asyncio.client import connect

from bench.load import go
from bench.report import latencies

SAMPLE_EVERY = 10
MAX_FRAME_BYTES = 64 << 20


@dataclass(slots=True)
class Seen:
    """What all clients have seen since they were told to look."""

    since_s: float = float("inf")
    delays_s: "array[float]" = field(default_factory=lambda: array("d"))
    frames: Counter[str] = field(default_factory=Counter)
    points: int = 0
    size_bytes: int = 0
    awaited: int = 0
    everyone: asyncio.Event = field(default_factory=asyncio.Event)


async def follow(options: argparse.Namespace, devices: list[str], seen: Seen) -> None:
    """Follow the series of some devices until cancelled."""
    async with httpx.AsyncClient(base_url=options.url) as api:
        ticket = (await api.post("/api/live/ticket")).raise_for_status().json()["ticket"]
    url = f"{options.url.replace('http', 'ws', 1)}/api/live?ticket={ticket}"
    wanted = {"op": "subscribe", "id": "1", "kind": "points", "devices": devices}
    async with connect(url, compression=None, max_size=MAX_FRAME_BYTES) as socket:
        await socket.send(json.dumps(wanted))
        while True:
            frame = await socket.recv(decode=False)
            kind = _kind(frame)
            _take(frame, kind, seen)
            if kind == "ping":
                await socket.send('{"op":"pong"}')


def _take(frame: bytes, kind: str, seen: Seen) -> None:
    now_s = time.time()
    if kind == "subscribed":
        seen.awaited -= 1
        if not seen.awaited:
            seen.everyone.set()
    if now_s < seen.since_s:
        return
    seen.frames[kind] += 1
    if kind != "points":
        return
    seen.points += frame.count(b'"time":')
    seen.size_bytes += len(frame)
    if seen.frames[kind] % SAMPLE_EVERY == 0:
        for point in orjson.loads(frame)["points"]:
            at_s = datetime.fromisoformat(point["time"]).timestamp()
            # What is older than the look was sent by an earlier load.
            if at_s >= seen.since_s:
                seen.delays_s.append(now_s - at_s)


def _kind(frame: bytes) -> str:
    return frame[:40].partition(b'"type":"')[2].partition(b'"')[0].decode()


async def run(options: argparse.Namespace) -> dict[str, object]:
    """Connect all clients, wait for the word, look for some seconds."""
    seen, sets = Seen(awaited=options.clients), json.loads(sys.stdin.readline())
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(follow(options, sets[n % len(sets)], seen))
            for n in range(options.clients)
        ]
        await seen.everyone.wait()
        await go()
        seen.since_s = time.time()
        await asyncio.sleep(options.seconds)
        for task in tasks:
            task.cancel()
    return {
        "delay": latencies(seen.delays_s),
        "frames": dict(seen.frames),
        "points": seen.points,
        "bytes": seen.size_bytes,
    }


def main() -> None:
    """Follow what the arguments and the first line of standard input (lists of devices) say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, required=True)
    sys.stdout.write(json.dumps(uvloop.run(run(parser.parse_args()))) + "\n")


if __name__ == "__main__":
    main()
