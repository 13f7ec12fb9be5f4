"""Devices that connect and then say nothing, until they are asked to ping once."""

import argparse
import asyncio
import json
import ssl
import sys
import time
from typing import cast

import uvloop

from bench.load import go, unverified
from bench.packets import connect

AT_ONCE = 200
CONNACK_ACCEPTED = b"\x20\x02\x00\x00"
PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"


class Idler(asyncio.Protocol):
    """One connection; `answer` is what it waits for."""

    def __init__(self, client_id: bytes) -> None:
        self._client_id = client_id
        self._read = b""
        self._transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(connect(self._client_id))

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer with nothing."""
        if not self.answer.done():
            self.answer.set_result(b"")

    def data_received(self, data: bytes) -> None:
        """Take the answer."""
        if not self.answer.done():
            self.answer.set_result(data)

    def ping(self) -> None:
        """Ask whether the server is still there."""
        self.answer = asyncio.get_running_loop().create_future()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(PINGREQ)
        else:
            self.answer.set_result(b"")

    async def has(self, wanted: bytes) -> bool:
        """Return whether the next answer is the one that is wanted."""
        return await self.answer == wanted


async def run(options: argparse.Namespace) -> dict[str, float]:
    """Connect, wait for the word, ping; return how many answered, and how long connecting took."""
    context = unverified() if options.tls else None
    idlers: list[Idler] = []
    accepted = 0
    started = time.perf_counter()
    for begin in range(0, options.count, AT_ONCE):
        numbers = range(begin, min(begin + AT_ONCE, options.count))
        async with asyncio.timeout(options.timeout_s):
            made = await asyncio.gather(*(_one(options, n, context) for n in numbers))
            accepted += sum([await one.has(CONNACK_ACCEPTED) for one in made])
        idlers += made
    seconds = time.perf_counter() - started
    await go()
    for idler in idlers:
        idler.ping()
    async with asyncio.timeout(options.timeout_s):
        alive = sum([await idler.has(PINGRESP) for idler in idlers])
    return {"accepted": accepted, "alive": alive, "seconds": seconds}


async def _one(options: argparse.Namespace, number: int, context: ssl.SSLContext | None) -> Idler:
    name = b"idle-%d-%d" % (options.first, number)
    _, idler = await asyncio.get_running_loop().create_connection(
        lambda: Idler(name), "127.0.0.1", options.port, ssl=context
    )
    return idler


def main() -> None:
    """Connect what the arguments describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--timeout-s", type=float, default=60)
    parser.add_argument("--tls", action="store_true")
    sys.stdout.write(json.dumps(uvloop.run(run(parser.parse_args()))) + "\n")


if __name__ == "__main__":
    main()
