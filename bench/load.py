"""Load generators: processes of their own that send packets encoded beforehand, and count answers.

A connection keeps `in_flight` QoS 1 messages unanswered; each PUBACK lets the next one go. So the
rate is what the receiver can take, and a message counts as sent when its PUBACK has come.
"""

import argparse
import asyncio
import json
import resource
import ssl
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import uvloop

START_NS = 1_772_366_400_000_000_000


def publish(topic: bytes, payload: bytes, packet_id: int) -> bytes:
    """Return a QoS 1 PUBLISH of MQTT 3.1.1."""
    body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", packet_id) + payload
    return b"\x32" + _length(len(body)) + body


def connect(client_id: bytes) -> bytes:
    """Return a CONNECT of MQTT 3.1.1 with a clean session and a long keep-alive."""
    body = b"\x00\x04MQTT\x04\x02\x0e\x10" + struct.pack(">H", len(client_id)) + client_id
    return b"\x10" + _length(len(body)) + body


def _length(number: int) -> bytes:
    out = bytearray()
    while True:
        number, digit = divmod(number, 128)
        out.append(digit | (128 if number else 0))
        if not number:
            return bytes(out)


def f2_messages(device: int, first: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Yield RS-485 messages of one F2 controller: three readings each, one a second."""
    topic = b"tele/f2-%012x/sensor-mode/J1/sensor-1" % (0xB10000000000 + device)
    n = first
    while True:
        at = time.gmtime(START_NS // 1_000_000_000 + n)
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", at).encode()
        frame = b"01 03 06 %02X %02X 11 94 01 %02X 0D 3B" % (9, n % 256, (device + n) % 256)
        yield topic, b'{"timestamp": "%s.%06d", "data": "%s"}' % (stamp, device, frame)
        n += 1


def meter_messages(device: int, first: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Yield datagrams of one rail meter: ten instants of voltage and current, numbered."""
    name = b"bench-meter-%05d" % device
    topic = b"iot/%s/telemetry" % name
    n = first
    while True:
        base = START_NS // 1_000_000_000 + n * 10
        stamps = [
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(base + k)).encode() for k in range(10)
        ]
        items = b",".join(
            b'{"ts":"%s","type":"voltage_dc","val":%.1f,"unit":"V"},'
            b'{"ts":"%s","type":"current_dc","val":%.1f,"unit":"A"}'
            % (at, 700 + (n + k) % 100, at, 200 + (device + k) % 200)
            for k, at in enumerate(stamps)
        )
        yield (
            topic,
            (
                b'{"v":2,"device_id":"%s","ts":"%s","seq":%d,"msg_type":"telemetry","measurements":[%s]}'
                % (name, stamps[-1], n, items)
            ),
        )
        n += 1


SOURCES: dict[str, Callable[[int, int], Iterator[tuple[bytes, bytes]]]] = {
    "f2": f2_messages,
    "meter": meter_messages,
}


@dataclass(slots=True)
class Tally:
    """What all connections of one generator have done."""

    connected: int = 0
    acknowledged: int = 0
    running: int = 0
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
        self._buffer = b""
        self._is_connected = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(connect(self._client_id))

    def start(self) -> None:
        """Send the first messages."""
        self._tally.running += 1
        self._send(self._in_flight)

    def data_received(self, data: bytes) -> None:
        if not self._is_connected:
            self._is_connected = True
            data = data[4:]
            self._tally.connected += 1
            self._tally.ready.set()
            if not data:
                return
        # Answers are PUBACKs of four bytes; how many came is all that matters here.
        self._buffer += data
        answers, rest = divmod(len(self._buffer), 4)
        self._buffer = self._buffer[-rest:] if rest else b""
        self._answers += answers
        self._tally.acknowledged += answers
        self._send(answers)
        if self._answers == len(self._packets):
            self._tally.running -= 1
            if not self._tally.running:
                self._tally.done.set()

    def _send(self, count: int) -> None:
        if self._next < len(self._packets) and self.transport is not None:
            end = self._next + count
            self.transport.write(b"".join(self._packets[self._next : end]))
            self._next = end


async def run(options: argparse.Namespace) -> dict[str, float]:
    """Connect all devices, then send everything; return counts and seconds."""
    make = SOURCES[options.source]
    tally = Tally()
    loop = asyncio.get_running_loop()
    context = _tls() if options.tls else None
    senders = []
    for device in range(options.devices):
        messages = islice(make(device, options.first), options.messages)
        packets = [publish(t, p, n % 65_535 + 1) for n, (t, p) in enumerate(messages)]
        name = b"bench-%d-%05d" % (options.first, device)
        _, sender = await loop.create_connection(
            lambda name=name, packets=packets: Sender(name, packets, options.in_flight, tally),
            options.host,
            options.port,
            ssl=context,
        )
        senders.append(sender)
    while tally.connected < options.devices:
        tally.ready.clear()
        await tally.ready.wait()
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.time()
    for sender in senders:
        sender.start()
    await asyncio.wait_for(tally.done.wait(), options.timeout_s)
    after, ended = resource.getrusage(resource.RUSAGE_SELF), time.time()
    return {
        "messages": tally.acknowledged,
        "seconds": ended - started,
        "started": started,
        "ended": ended,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def main() -> None:
    """Send the load that the arguments describe; print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", choices=sorted(SOURCES))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--in-flight", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--timeout-s", type=float, default=120)
    parser.add_argument("--tls", action="store_true")
    sys.stdout.write(json.dumps(uvloop.run(run(parser.parse_args()))) + "\n")


if __name__ == "__main__":
    main()
