"""The fleet at a real Mosquitto: connections, wills, backlogs, commands. MTR-078, MTR-151."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from millrace.adapters.clock_system import SystemClock
from millrace.errors import RetryError
from millrace.flow.mqtt_client import MqttClient
from millrace.flow.mqtt_link import Address
from millrace.model.instants import SECOND_NS
from millrace.mqtt.options import ClientOptions
from millrace.mqtt.packets import ConnAck, PubAck, Publish, Subscription
from millrace.mqtt.session import ClientSession
from millrace.simulate.f2 import F2Options
from millrace.simulate.faults import Shares
from millrace.simulate.fleet import BrokerAwayError, Course, Fleet
from millrace.simulate.health import answering
from millrace.simulate.line import Access
from millrace.simulate.meter import MeterOptions
from millrace.simulate.plan import Plan, devices
from millrace.simulate.schedule import Schedule
from millrace.simulate.sensors import SensorOptions
from tests.servers.fake_broker import running_fake
from tests.servers.mosquitto import Mosquitto, running_mosquitto
from tests.servers.ports import free_port
from tests.simulate.worlds import START_NS, known, play

services = pytest.mark.services
FIRMWARE = b"the next version" * 5000
METERS = MeterOptions(send_interval_s=1, sampling_cadence_ms=100)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as server:
        yield server


class Observer:
    """Hears everything, also what came while it or the broker was away."""

    def __init__(self, port: int) -> None:
        self.heard: list[Publish] = []
        self._port = port
        options = ClientOptions(in_flight_max=1000)
        self._client = MqttClient(
            ClientSession("observer", 5, options), on_message=self.heard.append
        )

    async def listen(self) -> None:
        async with asyncio.timeout(10):
            while not self._client.is_connected:
                try:
                    await self._client.connect(Address("127.0.0.1", self._port))
                except RetryError:
                    await asyncio.sleep(0.05)
        await self._client.subscribe([Subscription("#", 2)])

    async def say(self, topic: str, payload: bytes, qos: int = 2) -> None:
        await self._client.publish(topic, payload, qos=qos)

    def close(self) -> None:
        self._client.disconnect()

    def of(self, topic: str) -> list[dict[str, Any]]:
        """Return the bodies that came on a topic, each once."""
        texts = dict.fromkeys(m.payload for m in self.heard if m.topic == topic)
        return [json.loads(text) for text in texts]


@asynccontextmanager
async def observing(mosquitto: Mosquitto) -> AsyncIterator[Observer]:
    observer = Observer(mosquitto.port)
    await observer.listen()
    try:
        yield observer
    finally:
        observer.close()


def fleet_at(
    port: int,
    plan: Plan,
    *,
    rate: float = 0.0,
    connections: int = 0,
    shares: Shares | None = None,
    start_ns: int | None = None,
    **access: Any,
) -> Fleet:
    clock = SystemClock()
    start_ns = start_ns or clock.now_ns()
    made = devices(plan, known(), start_ns)
    schedule = Schedule(made, seed=plan.seed, start_ns=start_ns, rate=rate, shares=shares)
    where = Access(Address("127.0.0.1", port), **{"restart_s": 0.1, **access})
    return Fleet(made, schedule, where, clock=clock, connections=connections, seed=plan.seed)


@asynccontextmanager
async def running(fleet: Fleet) -> AsyncIterator[Fleet]:
    over, ready = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(fleet.run(Course(), over, ready.set))
        await ready.wait()
        try:
            yield fleet
        finally:
            over.set()


async def until(condition: Callable[[], object], timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s):
        # What is waited for happens in another process and has no event here.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@services
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_all_messages_arrive_and_are_counted(mosquitto: Mosquitto, qos: int) -> None:
    sensors = SensorOptions(is_steady=True, qos=qos)
    plan = Plan("sensors", 20, sensor=sensors)
    fleet = fleet_at(mosquitto.port, plan, rate=500, start_ns=START_NS)
    async with observing(mosquitto) as observer:
        await fleet.run(Course(START_NS, 0.5), asyncio.Event())
        await until(lambda: len(observer.heard) >= 251)
    sent = [(m.topic, m.payload) for m in observer.heard]
    made = [(m.topic, m.payload) for _, m in play(plan, 0.5, rate=500)]  # type: ignore[union-attr]
    assert sorted(sent) == sorted(made)
    summary = fleet.summary()
    assert summary["sent"] == 251
    assert summary["acknowledged"] == (251 if qos else 0)
    assert (summary["failed"], summary["connected"]) == (0, 20)


@services
async def test_devices_share_connections(mosquitto: Mosquitto) -> None:
    plan = Plan("meters", 30, meter=MeterOptions(is_steady=True, qos=1))
    fleet = fleet_at(mosquitto.port, plan, rate=300, connections=4)
    async with observing(mosquitto) as observer:
        async with running(fleet):
            await until(lambda: len(observer.heard) > 130)
            await observer.say("iot/meter-007/command", b'{"cmd_id":"x","cmd":"request_status"}')
            await until(lambda: observer.of("iot/meter-007/hello"))
        await until(lambda: len(observer.heard) > fleet.summary()["sent"])
    assert fleet.summary()["connections"] == 4
    topics = {m.topic for m in observer.heard}
    assert sum(topic.endswith("/telemetry") for topic in topics) == 30
    assert sum(topic.endswith("/status") for topic in topics) == 30


@services
async def test_status_is_online_after_connack_and_offline_by_the_will(mosquitto: Mosquitto) -> None:
    """MTR-078."""
    fleet = fleet_at(mosquitto.port, Plan("meters", 2, meter=METERS), restart_s=0.5)
    topic = "iot/dc-meter-001/status"
    async with observing(mosquitto) as observer:
        async with running(fleet):
            await until(lambda: len(observer.of(topic)) == 1)
            fleet.lines[0].restart()
            await until(lambda: len(observer.of(topic)) == 3)
            first = next(m for m in observer.heard if "dc-meter-001" in m.topic)
        await until(lambda: len(observer.of(topic)) == 4)
        said = observer.of(topic)
    assert first.topic == topic
    assert [one["status"] for one in said] == ["online", "offline", "online", "offline"]
    assert all(set(one) == {"v", "device_id", "ts", "status"} for one in said)
    assert fleet.summary()["reconnects"] == 1

    late = Observer(mosquitto.port)
    await late.listen()
    await until(lambda: len(late.heard) == 2)
    assert all(m.retain and b'"offline"' in m.payload for m in late.heard)
    late.close()


@services
@pytest.mark.parametrize("qos", [1, 2])
async def test_a_backlog_arrives_in_order_and_whole(mosquitto: Mosquitto, qos: int) -> None:
    """MTR-151: the broker is away for a while, and nobody loses a sample."""
    plan = Plan("meters", 3, meter=MeterOptions(is_steady=True, qos=qos))
    fleet = fleet_at(mosquitto.port, plan, rate=150)
    observer = Observer(mosquitto.port)
    await observer.listen()
    async with running(fleet):
        await until(lambda: len(observer.heard) > 100)
        mosquitto.stop()
        sent = fleet.summary()["sent"]
        await until(lambda: fleet.waiting > 75)
        mosquitto.start()
        await observer.listen()
        await until(lambda: fleet.summary()["sent"] > sent + 150)
    await until(lambda: len(observer.heard) >= fleet.summary()["sent"])
    observer.close()
    summary = fleet.summary()
    assert (summary["failed"], summary["reconnects"]) == (0, 3)
    numbers = {}
    for name in ("dc-meter-001", "dc-meter-002", "ac-meter-001"):
        numbers[name] = [one["seq"] for one in observer.of(f"iot/{name}/telemetry")]
        assert numbers[name] == list(range(len(numbers[name])))
    assert sum(map(len, numbers.values())) == summary["sent"] - 2 * 3


@services
async def test_a_full_buffer_loses_the_oldest_and_says_so(mosquitto: Mosquitto) -> None:
    plan = Plan("meters", 1, meter=MeterOptions(is_steady=True, qos=1))
    fleet = fleet_at(mosquitto.port, plan, rate=200, buffer_messages=50)
    async with running(fleet):
        await until(lambda: fleet.summary()["sent"] > 20)
        mosquitto.stop()
        await until(lambda: fleet.summary()["dropped"] > 30)
        assert fleet.waiting == 50
        mosquitto.start()
        await until(lambda: fleet.waiting == 0)
    assert fleet.summary()["failed"] == fleet.summary()["dropped"] > 30


class Source(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(FIRMWARE)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def source() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Source)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/fw"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@services
async def test_a_meter_updates_itself(mosquitto: Mosquitto, source: str) -> None:
    """MTR-110 to MTR-113, over the wire: fetched, verified, restarted, greeted."""
    fleet = fleet_at(mosquitto.port, Plan("meters", 2, meter=METERS))
    params = {
        "fw_version": "2.2.0",
        "fw_url": source,
        "fw_sha256": hashlib.sha256(FIRMWARE).hexdigest(),
        "fw_size_bytes": len(FIRMWARE),
    }
    wrong = {**params, "fw_sha256": "0" * 64}
    async with observing(mosquitto) as observer, running(fleet):
        for name, ota in (("dc-meter-001", params), ("dc-meter-002", wrong)):
            command = {"v": 2, "cmd_id": name, "cmd": "start_ota", "params": ota}
            await observer.say(f"iot/{name}/command", json.dumps(command).encode())
        await until(lambda: observer.of("iot/dc-meter-001/hello"))
        await until(lambda: len(observer.of("iot/dc-meter-001/status")) == 3)
    (hello,) = observer.of("iot/dc-meter-001/hello")
    assert (hello["fw_version"], hello["seq"], hello["uptime_s"]) == ("2.2.0", 0, 0)
    states = [one["ota_state"] for one in observer.of("iot/dc-meter-001/ota/status")]
    assert list(dict.fromkeys(states)) == ["downloading", "verifying", "applying", "success"]
    failed = observer.of("iot/dc-meter-002/ota/status")[-1]
    assert (failed["ota_state"], failed["detail"]) == ("failed", "sha256 mismatch")


@services
async def test_controllers_answer_commands(mosquitto: Mosquitto) -> None:
    """F2-152: every command is confirmed."""
    plan = Plan("f2", 2, f2=F2Options(is_steady=True))
    fleet = fleet_at(mosquitto.port, plan)
    here = "f2-0000000000a1"
    commands = {
        "access-control-mode/J2/strike-1": (b'{"power-flag": 2, "period": 1}', "stat"),
        "alarm-mode/J1/siren-2": (b"1", "stat"),
        "access-control-mode/J2/reader-2/success": (b"1", "tele"),
    }
    async with observing(mosquitto) as observer, running(fleet):
        for place, (payload, _) in commands.items():
            await observer.say(f"cmnd/{here}/{place}", payload, 1)
        await until(lambda: len(observer.of(f"stat/{here}/access-control-mode/J2/strike-1")) == 2)
        for place, (_, kind) in commands.items():
            assert observer.of(f"{kind}/{here}/{place.removesuffix('/success')}")
    counts = Counter(m.topic.split("/")[0] for m in observer.heard)
    assert counts == {"cmnd": 3, "stat": 3, "tele": 1}


async def test_a_duplicate_is_the_same_packet_with_dup() -> None:
    """F2 at QoS 1: same packet id, same bytes."""
    plan = Plan("f2", 1, f2=F2Options(is_steady=True))
    async with running_fake() as fake:
        fake.grants = 1
        fake.connack = ConnAck()
        fleet = fleet_at(fake.port, plan, rate=50, shares=Shares(duplicates=1.0), drain_s=0.1)

        def copies() -> list[Publish]:
            return [one for one in fake.packets if isinstance(one, Publish)]

        async with running(fleet):
            await until(lambda: len(copies()) >= 20)
            for one in copies():
                fake.say(PubAck(one.packet_id))
            first, second, *_ = copies()
        assert (first.dup, second.dup) == (False, True)
        assert (first.packet_id, first.payload) == (second.packet_id, second.payload)


async def test_no_broker_is_said_at_once() -> None:
    """D-57: exit code 3, and what to do."""
    fleet = fleet_at(free_port(), Plan("sensors", 2), start_s=0.3)
    with pytest.raises(BrokerAwayError, match=r"no MQTT broker at 127\.0\.0\.1") as problem:
        await fleet.run(Course(), asyncio.Event())
    assert problem.value.exit_code == 3
    assert "--url" in problem.value.remedy


@services
async def test_health_is_ready_when_all_are_connected(mosquitto: Mosquitto) -> None:
    """MTR-152."""
    fleet = fleet_at(mosquitto.port, Plan("sensors", 3))
    port = free_port()

    async def ask(path: str) -> tuple[int, dict[str, Any]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, content = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return int(head.split()[1]), json.loads(content)

    async with answering("127.0.0.1", port, fleet.summary):
        assert (await ask("/healthz"))[0] == 200
        assert (await ask("/readyz"))[0] == 503
        async with running(fleet):
            code, state = await ask("/readyz?verbose")
            assert (code, state["connected"]) == (200, 3)
        assert (await ask("/"))[0] == 404


def test_a_given_start_is_kept() -> None:
    """The fleet's clock begins where it is told to, and runs as fast as real time."""
    fleet = fleet_at(1, Plan("sensors", 1), start_ns=START_NS)
    fleet._begin(START_NS)
    assert 0 <= fleet.now_ns() - START_NS < SECOND_NS
