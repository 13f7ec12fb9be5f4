"""The endpoint on the SQLite log with the ingest worker between them, across restarts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from millrace.adapters.broker_endpoint import EndpointAddresses, EndpointBroker
from millrace.adapters.clock_system import SystemClock
from millrace.adapters.log_sqlite import SqliteLog, SqliteLogReader
from millrace.codecs import built_in
from millrace.ingest.admit import Admission
from millrace.ingest.worker import IngestWorker
from millrace.mqtt import properties as props
from millrace.mqtt.packets import Publish, PubRec, Subscription, Will
from tests.adapters.endpoint_rig import FAST, Client, drop_clients

LASTING = {"clean_start": False, "properties": {props.SESSION_EXPIRY: 3600}}


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[EndpointBroker]:
    log = SqliteLog(folder)
    reader = SqliteLogReader(folder)
    clock = SystemClock()
    broker = EndpointBroker(
        EndpointAddresses(port=0), log.notes, clock=clock, reader=reader, limits=FAST
    )
    worker = IngestWorker(broker, log, Admission(built_in(), log.partitions), clock=clock)
    await broker.start()
    async with asyncio.TaskGroup() as group:
        carrying = group.create_task(worker.run())
        try:
            yield broker
        finally:
            carrying.cancel()
            await broker.close()
            await drop_clients()
            worker.close()
    reader.close()
    log.close()


def payloads(folder: Path) -> list[bytes]:
    reader = SqliteLogReader(folder)
    found: list[bytes] = []
    for number, extent in enumerate(reader.extents()):
        if extent.end:
            batch = reader.read(number, 0, 10_000)
            found += batch.payloads if batch else []
    reader.close()
    return found


async def test_d_16_all_of_it_survives_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    async with gateway(folder) as broker:
        port = broker.ports["mqtt"]
        ear = await Client.connect(port, "ear", **LASTING)
        await ear.subscribe(Subscription("iot/#", 1))
        await ear.leave()
        will = Will("iot/m2/status", b"off", 1)
        await Client.connect(port, "m2", will=will, **LASTING)
        device = await Client.connect(port, "m1", **LASTING)
        for i in range(300):
            await device.publish(f"iot/m{i % 5}/telemetry", b"%d" % i, 1 + i % 2)
        await device.publish("iot/m1/status", b"online", retain=True)
        device.send(Publish("iot/m1/hello", b"once", 2, packet_id=40))
        await device.expect(PubRec)
    async with gateway(folder) as broker:
        port = broker.ports["mqtt"]
        device = await Client.connect(port, "m1", **LASTING)
        device.send(Publish("iot/m1/hello", b"once", 2, dup=True, packet_id=40))
        await device.expect(PubRec)
        late = await Client.connect(port, "late")
        await late.subscribe(Subscription("iot/+/status", 1))
        assert (await late.message()).payload == b"online"
        ear = await Client.connect(port, "ear", **LASTING)
        got = [(await ear.message()).payload for _ in range(302)]
        assert sorted(got) == sorted([b"%d" % i for i in range(300)] + [b"online", b"once"])
        await ear.silent()
    assert payloads(folder).count(b"once") == 1


async def test_a_busy_subscriber_reads_its_queue_while_more_arrives(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    async with gateway(folder) as broker:
        port = broker.ports["mqtt"]
        ear = await Client.connect(port, "ear", **LASTING)
        await ear.subscribe(Subscription("#", 1))
        await ear.leave()
        mouth = await Client.connect(port, "mouth", version=4)
        burst = [Publish("iot/m1/telemetry", b"%d" % i, 1, packet_id=i + 1) for i in range(2000)]
        mouth.send(*burst[:1000])
        for _ in range(1000):
            await mouth.next()
        ear = await Client.connect(port, "ear", **LASTING)
        mouth.send(*burst[1000:])
        got = [int((await ear.message()).payload) for _ in range(2000)]
        assert got == list(range(2000))
