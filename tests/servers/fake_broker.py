"""A broker that says what a test tells it to, and nothing else: for what real ones never do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from millrace.mqtt.packets import ConnAck, Decoder, Packet, SubAck, Subscribe, encode


class FakeBroker:
    """Takes one connection after the other; `packets` are those of the latest.

    CONNECT and SUBSCRIBE are answered as told by `connack` and `grants`; the rest is the test's.
    """

    def __init__(self) -> None:
        self.connack: ConnAck | None = ConnAck()
        self.grants = 0
        self.port = 0
        self.connections = 0
        self.packets: list[Packet] = []
        self._version = 5
        self._writer: asyncio.StreamWriter | None = None
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        self._idle.clear()
        self.packets = packets = []
        self._writer = writer
        decoder = Decoder()
        while data := await _read(reader):
            for packet in decoder.feed(data):
                self._version = decoder.version
                packets.append(packet)
                self._answer(packet)
            self._changed.set()
        writer.close()
        if writer is self._writer:
            self._idle.set()

    def _answer(self, packet: Packet) -> None:
        if isinstance(packet, Subscribe):
            self.say(SubAck(packet.packet_id, [self.grants or one.qos for one in packet.filters]))
        elif len(self.packets) == 1 and self.connack is not None:
            self.say(self.connack)

    def say(self, *packets: Packet) -> None:
        """Send packets on the latest connection."""
        self.write(b"".join(encode(one, self._version) for one in packets))

    def write(self, data: bytes) -> None:
        """Send any bytes on the latest connection."""
        if self._writer is not None:
            self._writer.write(data)

    def cut(self) -> None:
        """End the latest connection without a word."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def over(self) -> None:
        """Wait until the latest connection is served to its end."""
        await self._idle.wait()

    async def heard(self, *expected: Packet) -> None:
        """Wait until all these have come on the latest connection."""
        async with asyncio.timeout(5):
            while not all(one in self.packets for one in expected):
                self._changed.clear()
                await self._changed.wait()

    async def connected(self, number: int) -> None:
        """Wait for the n-th connection to be subscribed."""
        async with asyncio.timeout(5):
            while self.connections < number or not any(
                isinstance(one, Subscribe) for one in self.packets
            ):
                self._changed.clear()
                await self._changed.wait()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65_536)
    except ConnectionError:
        return b""


@asynccontextmanager
async def running_fake() -> AsyncIterator[FakeBroker]:
    """Run a fake broker on a free port."""
    fake = FakeBroker()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        fake.cut()
        await fake.over()
