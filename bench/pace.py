"""A load at a fixed rate: message `i` is due at `start + i / rate`, whether or not answers come.

Instants are those at which messages were due, so a receiver that stops the load is charged for
what waited meanwhile. How late this process itself was is reported beside them.
"""

import argparse
import asyncio
import json
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import cast

import uvloop

from bench.load import go
from bench.packets import CONNACK_BYTES, PUBACK_BYTES, connect, publish
from bench.report import latencies
from bench.sources import f2_stamped, late_meter_messages

TURN_S = 0.001
# Makes a packet of device, number and the instant (Unix, seconds) at which it is due.
Make = Callable[[int, int, float], bytes]


class Device(asyncio.Protocol):
    """One connection: PUBACKs come in the order of what was sent."""

    def __init__(self, client_id: bytes, delays_s: "array[float]") -> None:
        self._client_id = client_id
        self._delays_s = delays_s
        self._due: deque[float] = deque()
        self._skip = CONNACK_BYTES
        self._partial = 0
        self._sent = 0
        self._transport: asyncio.Transport | None = None
        self.connected = asyncio.Event()
        self._idle: asyncio.Event | None = None
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(connect(self._client_id))

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember it: the load is wrong then."""
        self.is_lost = True
        self.connected.set()
        if self._idle is not None:
            self._idle.set()

    def data_received(self, data: bytes) -> None:
        """Take the answers."""
        cut = min(self._skip, len(data))
        self._skip -= cut
        if not self._skip:
            self.connected.set()
        answers, self._partial = divmod(self._partial + len(data) - cut, PUBACK_BYTES)
        now = time.time()
        for _ in range(answers):
            self._delays_s.append(now - self._due.popleft())
        if self._idle is not None and not self._due:
            self._idle.set()

    def send(self, packet: bytes, due_s: float) -> None:
        """Send one message."""
        self._due.append(due_s)
        self._sent += 1
        if self._transport is not None:
            self._transport.write(packet)

    async def answered(self) -> None:
        """Wait until every message has its answer."""
        if self._due and not self.is_lost:
            self._idle = asyncio.Event()
            await self._idle.wait()


def f2(options: argparse.Namespace) -> Make:
    """Return the maker of F2 messages that carry the instant at which they were due."""
    stamped = [f2_stamped(device) for device in range(options.devices)]

    def make(device: int, n: int, due_s: float) -> bytes:
        topic, payload_of = stamped[device]
        return publish(topic, payload_of(n, due_s), n % 65_535 + 1)

    return make


def meter(options: argparse.Namespace) -> Make:
    """Return the maker of meter datagrams, encoded beforehand, one in a hundred a day late."""
    each = -(-options.messages // options.devices)
    packets = []
    for device in range(options.devices):
        messages = late_meter_messages(device, options.first)
        packets.append([publish(*next(messages), n % 65_535 + 1) for n in range(each)])

    def make(device: int, n: int, _due_s: float) -> bytes:
        return packets[device][n - int(options.first)]

    return make


MAKERS: dict[str, Callable[[argparse.Namespace], Make]] = {"f2": f2, "meter": meter}


async def run(options: argparse.Namespace) -> dict[str, object]:
    """Connect, wait for the word, send at the rate; return counts and delays."""
    options.messages = int(options.rate * options.seconds)
    make, delays_s = MAKERS[options.source](options), array("d")
    devices = await _connected(options, delays_s)
    await go()
    started = time.time()
    late_s = await _send_all(options, make, devices)
    async with asyncio.timeout(options.timeout_s):
        for device in devices:
            await device.answered()
    return {
        "messages": len(delays_s),
        "lost": sum(device.is_lost for device in devices),
        "started": started,
        "ended": time.time(),
        "puback": latencies(delays_s),
        "late": latencies(late_s),
    }


async def _connected(options: argparse.Namespace, delays_s: "array[float]") -> list[Device]:
    loop, devices = asyncio.get_running_loop(), []
    for number in range(options.devices):
        make = partial(Device, b"bench-%05d" % number, delays_s)
        _, device = await loop.create_connection(make, "127.0.0.1", options.port)
        devices.append(device)
    for device in devices:
        await device.connected.wait()
    return devices


async def _send_all(
    options: argparse.Namespace, make: Make, devices: list[Device]
) -> "array[float]":
    """Send every message when it is due; return how late each was sent."""
    late_s: array[float] = array("d")
    started, number = time.time(), 0
    while number < options.messages:
        now = time.time()
        until = min(options.messages, int((now - started) * options.rate) + 1)
        for i in range(number, until):
            # A device sends `burst` messages at a time, then the next one its own.
            turn, k = divmod(i, options.burst)
            n, place = divmod(turn, options.devices)
            n = n * options.burst + k
            due_s = started + i / options.rate
            devices[place].send(make(place, options.first + n, due_s), due_s)
            late_s.append(now - due_s)
        number = until
        await asyncio.sleep(TURN_S)
    return late_s


def main() -> None:
    """Send the load that the arguments describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", choices=sorted(MAKERS))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--rate", type=float, required=True, help="messages a second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--burst", type=int, default=1, help="messages of a device in a row")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--timeout-s", type=float, default=30)
    sys.stdout.write(json.dumps(uvloop.run(run(parser.parse_args()))) + "\n")


if __name__ == "__main__":
    main()
