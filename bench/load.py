"""A load: devices that send packets encoded beforehand and count the answers; its own process.

A connection keeps `in_flight` QoS 1 messages unanswered; each PUBACK lets the next one go. So the
rate is what the receiver can take, and a message counts as sent when its PUBACK has come.
When everything is connected and encoded the process prints a line and waits for one on standard
input; at the end it prints what it did as JSON.
"""

import argparse
import asyncio
import json
import resource
import ssl
import sys
import time
from dataclasses import dataclass, field
from itertools import chain
from typing import cast

import uvloop

from bench.packets import CONNACK_BYTES, PUBACK_BYTES, connect, publish
from bench.sources import SOURCES, messages_of


@dataclass(slots=True)
class Tally:
    """What all connections of one load have done."""

    connected: int = 0
    acknowledged: int = 0
    running: int = 0
    lost: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Sender(asyncio.Protocol):
    """One device: sends its packets, never more than `in_flight` ahead of the answers."""

    def __init__(
        self, client_id: bytes, packets: list[bytes], in_flight: int, tally: Tally
    ) -> None:
        self._client_id = client_id
        self._packets = packets
        self._in_flight = in_flight
        self._tally = tally
        self._next = 0
        self._answers = 0
        self._partial = 0
        self._is_connected = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        # uvloop has transports of its own kind, so this cannot be checked at run time.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(connect(self._client_id))

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a connection that was not ended here."""
        if self._answers < len(self._packets):
            self._tally.lost += 1
            self._tally.done.set()
            self._tally.ready.set()

    def start(self) -> None:
        """Send the first messages."""
        self._tally.running += 1
        self._send(self._in_flight)

    def data_received(self, data: bytes) -> None:
        """Take the answers: PUBACKs of four bytes, of which only the number matters."""
        size = len(data)
        if not self._is_connected:
            self._is_connected = True
            size -= CONNACK_BYTES
            self._tally.connected += 1
            self._tally.ready.set()
            if not size:
                return
        answers, self._partial = divmod(self._partial + size, PUBACK_BYTES)
        self._answers += answers
        self._tally.acknowledged += answers
        self._send(answers)
        if self._answers == len(self._packets):
            self._tally.running -= 1
            if not self._tally.running:
                self._tally.done.set()

    def _send(self, count: int) -> None:
        if self._next < len(self._packets) and self._transport is not None:
            end = self._next + count
            self._transport.write(b"".join(self._packets[self._next : end]))
            self._next = end


async def run(options: argparse.Namespace) -> dict[str, float]:
    """Connect all devices, wait for the word, send everything; return counts and seconds."""
    tally = Tally()
    senders = await _connected(options, tally)
    await go()
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.time()
    for sender in senders:
        sender.start()
    await asyncio.wait_for(tally.done.wait(), options.timeout_s)
    after, ended = resource.getrusage(resource.RUSAGE_SELF), time.time()
    return {
        "messages": tally.acknowledged,
        "lost": tally.lost,
        "seconds": ended - started,
        "started": started,
        "ended": ended,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


async def _connected(options: argparse.Namespace, tally: Tally) -> list[Sender]:
    loop, context = asyncio.get_running_loop(), unverified() if options.tls else None
    senders = []
    connections = options.connections or options.devices
    for number in range(connections):
        packets = _packets(options, range(number, options.devices, connections))
        sender = Sender(b"bench-%05d" % number, packets, options.in_flight, tally)
        await loop.create_connection(
            lambda sender=sender: sender, options.host, options.port, ssl=context
        )
        senders.append(sender)
    while tally.connected < connections and not tally.lost:
        tally.ready.clear()
        await tally.ready.wait()
    return senders


def _packets(options: argparse.Namespace, devices: range) -> list[bytes]:
    """Return what one connection sends: the messages of its devices, in turn."""
    each = (messages_of(options.source, n, options.first, options.messages) for n in devices)
    messages = chain.from_iterable(zip(*each, strict=True))
    return [publish(topic, payload, n % 65_535 + 1) for n, (topic, payload) in enumerate(messages)]


async def go() -> None:
    """Say that everything is ready, and wait for the word."""
    await asyncio.to_thread(go_now)


def go_now() -> None:
    """Do the same where there is no event loop."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()


def unverified() -> ssl.SSLContext:
    """Return a TLS context that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def main() -> None:
    """Send the load that the arguments describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", choices=sorted(SOURCES))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--connections", type=int, help="one for each device")
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--in-flight", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--timeout-s", type=float, default=120)
    parser.add_argument("--tls", action="store_true")
    sys.stdout.write(json.dumps(uvloop.run(run(parser.parse_args()))) + "\n")


if __name__ == "__main__":
    main()
