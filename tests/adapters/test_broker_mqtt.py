"""The subscriber at a real Mosquitto. MTR-002, MTR-008, F2-001, D-42, F15, F16."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from millrace.adapters.broker_mqtt import DEFAULT_FILTERS, MqttBroker, Upstream, session_note
from millrace.adapters.clock_manual import ManualClock
from millrace.errors import RetryError, StopError, UsageError
from millrace.flow.mqtt_client import MqttClient
from millrace.flow.mqtt_link import Address
from millrace.model.message import DUP, REPLAYED, RETAIN, SPACING_NS
from millrace.mqtt.options import ClientOptions
from millrace.mqtt.packets import Publish, Subscription
from millrace.mqtt.session import ClientSession
from millrace.ports.broker import Intake
from tests.servers.mosquitto import Mosquitto, running_mosquitto
from tests.servers.ports import free_port

services = pytest.mark.services
versions = pytest.mark.parametrize("version", [4, 5])
PLACES: Sequence[tuple[int, int]] = ()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as server:
        yield server


def broker_at(port: int, **options: Any) -> MqttBroker:
    gap = options.pop("on_gap", lambda: None)
    link = options.pop("on_link", lambda _is_up: None)
    upstream = Upstream("127.0.0.1", port, **options)
    return MqttBroker(upstream, ManualClock(), rng=Random(1), on_gap=gap, on_link=link)


@asynccontextmanager
async def running(port: int, **options: Any) -> AsyncIterator[MqttBroker]:
    broker = broker_at(port, **options)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.close()


@asynccontextmanager
async def device(
    mosquitto: Mosquitto, version: int, received: list[Publish] | None = None
) -> AsyncIterator[MqttClient]:
    session = ClientSession("device", version, ClientOptions(clean_start=True))
    heard = received if received is not None else []
    client = MqttClient(session, on_message=heard.append)
    await client.connect(Address("127.0.0.1", mosquitto.port))
    try:
        yield client
    finally:
        client.disconnect()


async def take(broker: MqttBroker, number: int, *, settles: bool = True) -> list[Intake]:
    """Receive at least so many messages."""
    intakes: list[Intake] = []
    async with asyncio.timeout(10):
        while sum(len(one.messages) for one in intakes) < number:
            intakes.append(await broker.receive())
            if settles:
                broker.settle(intakes[-1], PLACES)
    return intakes


def payloads(intakes: list[Intake]) -> list[bytes]:
    return [payload for one in intakes for payload in one.messages.payloads]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        # What is waited for happens in another process or in a callback that has no event.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@services
@versions
async def test_messages_of_all_families_come_in_at_the_senders_qos(
    mosquitto: Mosquitto, version: int
) -> None:
    topics = [
        ("stat/f2-1/alarm-mode/J1/door", 1),
        ("tele/f2-1/alarm-mode/J1/door", 0),
        ("cmnd/f2-1/alarm-mode/J1/door", 1),
        ("cmnd/f2-1/access-control-mode/J1/reader-1/success", 1),
        ("iot/m1/telemetry", 2),
        ("iot/m1/hello", 2),
        ("iot/m1/status", 1),
        ("iot/m1/command/ack", 2),
        ("iot/m1/ota/status", 1),
        ("sensors/gps/s1", 0),
    ]
    async with running(mosquitto.port, version=version) as broker:
        async with device(mosquitto, version) as client:
            for topic, qos in topics:
                await client.publish(topic, topic.encode(), qos=qos)
            await client.publish("iot/m1/command", b"not for us", qos=2)
        intakes = await take(broker, len(topics))
        columns = [one.messages for one in intakes]
    assert [(t, f) for one in columns for t, f in zip(one.topics, one.flags, strict=True)] == topics
    assert payloads(intakes) == [topic.encode() for topic, _ in topics]
    received = [at for one in columns for at in one.received_at_ns]
    first = ManualClock().now_ns()
    assert received == list(range(first, first + len(topics) * SPACING_NS, SPACING_NS))
    assert intakes[0].notes[0].key == session_note("millrace-ingest")
    assert not any(one.notes for one in intakes[1:])


@services
@versions
async def test_retained_messages_are_marked_as_replayed(mosquitto: Mosquitto, version: int) -> None:
    async with device(mosquitto, version) as client:
        await client.publish("iot/m1/status", b"old", qos=1, retain=True)
        async with running(mosquitto.port, version=version) as broker:
            [old] = await take(broker, 1)
            await client.publish("iot/m1/status", b"fresh", qos=1, retain=True)
            [live] = await take(broker, 1)
    assert old.messages.flags == [1 | RETAIN | REPLAYED]
    assert live.messages.flags == [1]


@services
@versions
async def test_only_what_is_settled_is_acknowledged(mosquitto: Mosquitto, version: int) -> None:
    """MTR-008: the session keeps what was not durable, and brings it again with DUP."""
    async with device(mosquitto, version) as client:
        async with running(mosquitto.port, version=version) as broker:
            for number in range(6):
                await client.publish("iot/m1/telemetry", b"%d" % number, qos=1 + number % 2)
                await take(broker, 1, settles=number < 3)
        async with running(mosquitto.port, version=version, had_session=True) as broker:
            intakes = await take(broker, 3)
    assert payloads(intakes) == [b"3", b"4", b"5"]
    assert all(flags & DUP for one in intakes for flags in one.messages.flags)


@services
@versions
async def test_what_comes_while_we_are_away_waits_for_us(
    mosquitto: Mosquitto, version: int
) -> None:
    async with running(mosquitto.port, version=version):
        pass
    async with device(mosquitto, version) as client:
        for number in range(300):
            await client.publish("iot/m1/telemetry", b"%d" % number, qos=1)
    async with running(mosquitto.port, version=version) as broker:
        found = payloads(await take(broker, 300))
    assert found == [b"%d" % number for number in range(300)]


@services
@versions
async def test_publish_reaches_devices_at_every_qos(mosquitto: Mosquitto, version: int) -> None:
    received: list[Publish] = []
    async with (
        device(mosquitto, version, received) as client,
        running(mosquitto.port, version=version) as broker,
    ):
        await client.subscribe([Subscription("iot/+/command", 2)])
        for qos in (0, 1, 2):
            await broker.publish("iot/m1/command", b"%d" % qos, qos=qos, expiry_s=60)
        await until(lambda: len(received) == 3)
    assert [(one.qos, one.payload) for one in received] == [(0, b"0"), (1, b"1"), (2, b"2")]
    assert all(bool(one.properties) is (version == 5) for one in received)


@services
async def test_d42_a_group_shares_telemetry_and_one_member_has_the_retained(
    mosquitto: Mosquitto,
) -> None:
    async with device(mosquitto, 5) as client:
        await client.publish("iot/m1/status", b"kept", qos=1, retain=True)
        async with (
            running(mosquitto.port, client_id="one", share_group="g") as one,
            running(
                mosquitto.port, client_id="two", share_group="g", carries_retained=False
            ) as two,
        ):
            assert payloads(await take(one, 1)) == [b"kept"]
            for number in range(40):
                await client.publish("sensors/gps/s1", b"%d" % number, qos=1)
            await client.publish("sensors/gps/last", b"", qos=1)
            await client.publish("sensors/gps/last", b"", qos=1)
            found: list[bytes] = []
            async with asyncio.timeout(10):
                while len(found) < 42:
                    for member in (one, two):
                        if member._backlog:
                            found += payloads(await take(member, 1))
                    await asyncio.sleep(0.005)
    assert sorted(found) == sorted([b"", b"", *[b"%d" % number for number in range(40)]])


@services
@versions
async def test_f15_the_broker_is_killed_and_comes_back(mosquitto: Mosquitto, version: int) -> None:
    states: list[bool] = []
    async with running(mosquitto.port, version=version, on_link=states.append) as broker:
        waiting = asyncio.ensure_future(broker.receive())  # noqa: TID251 - awaited below
        mosquitto.kill()
        await until(lambda: states == [True, False])
        with pytest.raises(RetryError):
            await broker.publish("iot/m1/command", b"", qos=1)
        mosquitto.start()
        await until(lambda: states == [True, False, True])
        async with device(mosquitto, version) as client:
            await client.publish("iot/m1/telemetry", b"x", qos=1)
        assert (await waiting).messages.payloads == [b"x"]


@services
@versions
async def test_f15_an_orderly_restart_loses_nothing(mosquitto: Mosquitto, version: int) -> None:
    gaps: list[int] = []
    states: list[bool] = []
    async with running(
        mosquitto.port, version=version, on_gap=lambda: gaps.append(1), on_link=states.append
    ) as broker:
        async with device(mosquitto, version) as client:
            for number in range(20):
                await client.publish("iot/m1/telemetry", b"%d" % number, qos=1)
        early = await take(broker, 20, settles=False)
        mosquitto.stop()
        mosquitto.start()
        again = await take(broker, 20)
        for intake in early:
            broker.settle(intake, PLACES)
    assert payloads(again) == [b"%d" % number for number in range(20)]
    assert not gaps


@services
@versions
async def test_f16_a_lost_session_is_a_possible_gap(mosquitto: Mosquitto, version: int) -> None:
    gaps: list[int] = []
    with capture_logs() as logs:
        async with running(
            mosquitto.port, version=version, on_gap=lambda: gaps.append(1)
        ) as broker:
            assert not gaps
            mosquitto.stop()
            mosquitto.forget()
            mosquitto.start()
            waiting = asyncio.ensure_future(broker.receive())  # noqa: TID251 - awaited below
            await until(lambda: bool(gaps))
            async with device(mosquitto, version) as client:
                await until(lambda: broker._is_up)
                await client.publish("iot/m1/telemetry", b"subscribed again", qos=1)
            assert (await waiting).messages.payloads == [b"subscribed again"]
    assert [one["event"] for one in logs].count("mqtt_possible_gap") == 1


@services
async def test_f16_a_session_lost_while_we_were_down_is_one_too(mosquitto: Mosquitto) -> None:
    gaps: list[int] = []
    async with running(mosquitto.port, had_session=True, on_gap=lambda: gaps.append(1)):
        assert gaps == [1]


async def test_a_broker_that_is_away_at_start_is_waited_for() -> None:
    async with running(free_port()) as broker:
        waiting = asyncio.ensure_future(broker.receive())  # noqa: TID251 - cancelled below
        with pytest.raises(RetryError):
            await broker.publish("a", b"")
        waiting.cancel()


def test_f2_001_a_forbidden_filter_is_refused_before_anything_connects() -> None:
    with pytest.raises(UsageError, match=r"'f2-#'.* use cmnd/\+/\+/\+/\+"):
        broker_at(1883, filters=(Subscription("cmnd/f2-#", 1),))


def test_d42_filters_of_a_group() -> None:
    def filters(**options: Any) -> list[str]:
        return [one.filter for one in Upstream("h", **options).subscriptions()]

    plain = [one.filter for one in DEFAULT_FILTERS]
    assert filters() == plain
    shared = filters(share_group="g")
    assert shared == [one if one == "iot/+/status" else f"$share/g/{one}" for one in plain]
    assert filters(share_group="g", carries_retained=False) == [
        one for one in shared if one != "iot/+/status"
    ]


@services
async def test_bad_credentials_are_for_a_person(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    (mosquitto.folder / "passwords").write_text("")
    mosquitto.configure(f"password_file {mosquitto.folder}/passwords\nallow_anonymous false")
    mosquitto.start()
    for version in (4, 5):
        broker = broker_at(mosquitto.port, version=version, username="u", password=b"p")
        with pytest.raises(StopError, match="not_authorized"):
            await broker.start()
        await broker.close()
