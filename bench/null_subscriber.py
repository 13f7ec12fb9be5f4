"""The null subscriber: it finds each PUBLISH, acknowledges it and forgets it. Nothing is less.

What it drains is the most that anything written in Python can take from this broker on this
machine. It says when it is subscribed and ends by itself behind the last message.
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from typing import cast

import uvloop

from bench.packets import CONNACK_BYTES, connect, subscribe

SUBACK_BYTES = 5


class NullSubscriber(asyncio.Protocol):
    """Parses whatever a read brings, and answers it in one write."""

    def __init__(self, topic_filter: bytes, wanted: int) -> None:
        self._filter = topic_filter
        self._wanted = wanted
        self._skip = CONNACK_BYTES + SUBACK_BYTES
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self.subscribed = asyncio.Event()
        self.done = asyncio.Event()
        self.received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Subscribe at once."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(connect(b"bench-null") + subscribe(self._filter, 1))

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up."""
        self.subscribed.set()
        self.done.set()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._skip:
            cut = min(self._skip, len(data))
            self._skip -= cut
            data = data[cut:]
            if not self._skip:
                self.subscribed.set()
        if data and self._transport is not None:
            self._transport.write(self._parse(self._rest + data))
            if self.received >= self._wanted:
                self.done.set()

    def _parse(self, data: bytes) -> bytes:
        answers, at, size = [], 0, len(data)
        while True:
            place, length, shift = at + 1, 0, 0
            while place < size:
                digit = data[place]
                place += 1
                length |= (digit & 127) << shift
                if digit < 128:
                    break
                shift += 7
            else:
                break
            end = place + length
            if end > size:
                break
            topic_end = place + 2 + (data[place] << 8 | data[place + 1])
            answers.append(b"\x40\x02" + data[topic_end : topic_end + 2])
            at = end
        self._rest = data[at:]
        self.received += len(answers)
        return b"".join(answers)


async def run(options: argparse.Namespace) -> dict[str, float]:
    """Subscribe, say so, and count until everything wanted has come."""
    loop = asyncio.get_running_loop()
    _, subscriber = await loop.create_connection(
        lambda: NullSubscriber(options.filter.encode(), options.messages), "127.0.0.1", options.port
    )
    await subscriber.subscribed.wait()
    before = resource.getrusage(resource.RUSAGE_SELF)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.wait_for(subscriber.done.wait(), options.timeout_s)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "messages": subscriber.received,
        "ended": time.time(),
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def main() -> None:
    """Count what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--filter", default="#")
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--timeout-s", type=float, default=120)
    sys.stdout.write(json.dumps(uvloop.run(run(parser.parse_args()))) + "\n")


if __name__ == "__main__":
    main()
