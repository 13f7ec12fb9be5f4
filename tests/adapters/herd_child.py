"""Many clients in one process: they connect at once, publish, and stay until standard input ends.

Each binds an address of its own in 127.0.0.0/8, so that no source runs out of ports.
"""

import asyncio
import resource
import sys

from millrace.mqtt.packets import ConnAck, Connect, Decoder, PubAck, Publish, encode

KEEP_ALIVE_S = 600


class Member(asyncio.Protocol):
    """One client: CONNECT and PUBLISH in one go; done when both are answered."""

    def __init__(self, number: int, done: asyncio.Future[None]) -> None:
        self._number = number
        self._decoder = Decoder(4, role="client")
        self._done = done
        self._waits_for: list[type] = [ConnAck, PubAck]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        name = f"herd-{self._number}"
        hello = Connect(name, 4, clean_start=False, keep_alive_s=KEEP_ALIVE_S)
        message = Publish(f"iot/{name}/telemetry", b'{"x":1}', 1, packet_id=1)
        transport.write(encode(hello, 4) + encode(message, 4))

    def data_received(self, data: bytes) -> None:
        for packet in self._decoder.feed(data):
            assert isinstance(packet, self._waits_for.pop(0))
        if not self._waits_for and not self._done.done():
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("closed"))


async def join(number: int, port: int) -> None:
    """Connect one member, and again if it was refused, as devices do."""
    loop = asyncio.get_running_loop()
    source = f"127.{1 + number % 250}.{number // 250}.1", 0
    while True:
        done = loop.create_future()
        member = Member(number, done)
        try:
            await loop.create_connection(lambda m=member: m, "127.0.0.1", port, local_addr=source)  # type: ignore[misc]
            await done
        except OSError:
            await asyncio.sleep(0.1 + number % 10 / 10)
        else:
            return


async def gather(port: int, members: int) -> None:
    await asyncio.gather(*(join(number, port) for number in range(members)))
    sys.stdout.write("all in\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(gather(int(sys.argv[1]), int(sys.argv[2])))
