"""An endpoint with a log behind it, and a client that does exactly what it is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, TypeVar

from millrace.adapters.broker_endpoint import (
    Access,
    EndpointAddresses,
    EndpointBroker,
    EndpointLimits,
)
from millrace.adapters.clock_system import SystemClock
from millrace.adapters.log_memory import MemoryLog
from millrace.model.message import RawBatch
from millrace.model.partition import partition_of
from millrace.mqtt.packets import (
    ConnAck,
    Connect,
    Decoder,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    encode,
)
from millrace.ports.clock import Clock
from millrace.ports.log import Log, LogReader

T = TypeVar("T")
PATIENCE_S = 5.0
FAST = EndpointLimits(sweep_s=0.02)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that only looking at it can tell."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - counters of the endpoint wake nobody
            await asyncio.sleep(0.005)


class Rig:
    """An endpoint, its log, and the worker between them; `gate` closed lets nothing be durable."""

    def __init__(self, broker: EndpointBroker, log: Log, reader: LogReader) -> None:
        self.broker = broker
        self.log = log
        self.reader = reader
        self.gate = asyncio.Event()
        self.gate.set()
        self.notes_seen = 0

    @property
    def port(self) -> int:
        return self.broker.ports["mqtt"]

    async def carry(self) -> None:
        while True:
            intake = await self.broker.receive()
            await self.gate.wait()
            messages = intake.messages
            batches: dict[int, RawBatch] = {}
            places: list[tuple[int, int]] = []
            for i, topic in enumerate(messages.topics):
                number = partition_of(topic, self.log.partitions)
                batch = batches.setdefault(number, RawBatch(number))
                batch.add(
                    topic,
                    messages.payloads[i],
                    messages.received_at_ns[i],
                    flags=messages.flags[i],
                    client_id=messages.client_ids[i],
                    packet_id=messages.packet_ids[i],
                )
                places.append((number, len(batch) - 1))
            self.notes_seen += len(intake.notes)
            self.log.append(list(batches.values()), intake.notes)
            self.broker.settle(intake, [(n, batches[n].first_offset + at) for n, at in places])

    def logged(self) -> list[tuple[str, bytes]]:
        """Return topic and payload of all messages in the log."""
        found: list[tuple[str, bytes]] = []
        for number, extent in enumerate(self.reader.extents()):
            offset = extent.start
            while offset < extent.end:
                batch = self.reader.read(number, offset, 1000)
                if batch is None:
                    break
                found += zip(batch.topics, batch.payloads, strict=True)
                offset += len(batch)
        return found

    async def until_logged(self, count: int) -> list[tuple[str, bytes]]:
        """Wait until the log holds so many messages."""
        await until(lambda: len(self.logged()) >= count)
        return self.logged()


@asynccontextmanager
async def endpoint(
    log: Log | None = None,
    *,
    reader: LogReader | None = None,
    clock: Clock | None = None,
    limits: EndpointLimits = FAST,
    access: Access | None = None,
    addresses: EndpointAddresses | None = None,
) -> AsyncIterator[Rig]:
    """Run an endpoint; leaving is a crash as far as its notes are concerned."""
    memory = MemoryLog()
    log = log or memory
    reader = reader or (log if isinstance(log, MemoryLog) else memory)
    broker = EndpointBroker(
        addresses or EndpointAddresses(port=0),
        log.notes,
        clock=clock or SystemClock(),
        reader=reader,
        access=access,
        limits=limits,
    )
    rig = Rig(broker, log, reader)
    await broker.start()
    async with asyncio.TaskGroup() as group:
        worker = group.create_task(rig.carry())
        try:
            yield rig
        finally:
            worker.cancel()
            await broker.close()
            await drop_clients()


async def drop_clients() -> None:
    """Close what the test has left open."""
    while Client.opened:
        writer = Client.opened.pop().writer
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    await asyncio.sleep(0)


class Client:
    """One raw connection; the endpoint that is left closes it."""

    opened: ClassVar[list["Client"]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.version = 5
        self.decoder = Decoder(5, role="client", alias_maximum=100)
        self.pending: list[Packet] = []
        self.opened.append(self)

    @classmethod
    async def open(cls, port: int) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @classmethod
    async def connect(cls, port: int, client_id: str = "c1", **options: Any) -> "Client":
        """Connect and take the CONNACK."""
        client = await cls.open(port)
        await client.hello(client_id, **options)
        return client

    async def hello(self, client_id: str, **options: Any) -> ConnAck:
        """Send CONNECT and return the answer."""
        self.version = options.get("version", 5)
        self.decoder = Decoder(self.version, role="client", alias_maximum=100)
        self.send(Connect(client_id, **options))
        answer = await self.expect(ConnAck)
        self.present = answer.session_present
        return answer

    def send(self, *packets: Packet) -> None:
        self.writer.write(b"".join(encode(packet, self.version) for packet in packets))

    def send_raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def next(self, patience_s: float = PATIENCE_S) -> Packet | None:
        """Return the next packet; None when the server has closed the connection."""
        async with asyncio.timeout(patience_s):
            while not self.pending:
                try:
                    data = await self.reader.read(65536)
                except ConnectionError:
                    return None
                if not data:
                    return None
                self.pending += self.decoder.feed(data)
        return self.pending.pop(0)

    async def expect(self, kind: type[T]) -> T:
        packet = await self.next()
        assert isinstance(packet, kind), packet
        return packet

    async def closed(self) -> list[Packet]:
        """Return what comes until the server closes."""
        found: list[Packet] = []
        while (packet := await self.next()) is not None:
            found.append(packet)
        return found

    async def silent(self) -> None:
        """Make sure that nothing has come: the answer to a ping is the next packet."""
        self.send(PingReq())
        await self.expect(PingResp)

    async def subscribe(self, *filters: Subscription, **options: Any) -> SubAck:
        self.send(Subscribe(1, list(filters), **options))
        return await self.expect(SubAck)

    async def publish(self, topic: str, payload: bytes, qos: int = 1, **options: Any) -> int:
        """Publish through all acknowledgements; return the reason."""
        packet_id = 7 if qos else 0
        self.send(Publish(topic, payload, qos, packet_id=packet_id, **options))
        if qos == 1:
            return (await self.expect(PubAck)).reason
        if qos == 2:
            reason = (await self.expect(PubRec)).reason
            if reason < 0x80:
                self.send(PubRel(packet_id))
                await self.expect(PubComp)
            return reason
        return 0

    async def leave(self) -> None:
        """Drop the connection without a word."""
        self.writer.transport.abort()

    async def message(self) -> Publish:
        """Return the next message, acknowledged."""
        packet = await self.expect(Publish)
        if packet.qos == 1:
            self.send(PubAck(packet.packet_id))
        elif packet.qos == 2:
            self.send(PubRec(packet.packet_id))
            await self.expect(PubRel)
            self.send(PubComp(packet.packet_id))
        return packet
