"""Sessions, retained messages and wills of the endpoint, across connections and restarts."""

from dataclasses import replace

import pytest

from millrace.adapters.broker_endpoint.records import PREFIX, SessionRecord, decode_record
from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.log_memory import MemoryLog
from millrace.errors import StopError
from millrace.mqtt import properties as props
from millrace.mqtt.packets import (
    Disconnect,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    Will,
)
from tests.adapters.endpoint_rig import FAST, Client, endpoint, until

LASTING = {"clean_start": False, "properties": {props.SESSION_EXPIRY: 3600}}


async def test_a_session_queues_while_its_client_is_away() -> None:
    async with endpoint() as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        assert not ear.present
        await ear.subscribe(Subscription("a/+", 1))
        await ear.leave()
        mouth = await Client.connect(rig.port, "mouth")
        for i in range(200):
            await mouth.publish(f"a/{i % 7}", b"%d" % i)
        ear = await Client.connect(rig.port, "ear", **LASTING)
        assert ear.present
        got = [int((await ear.message()).payload) for _ in range(200)]
        assert sorted(got) == list(range(200))
        by_topic = [[n for n in got if n % 7 == k] for k in range(7)]
        assert all(numbers == sorted(numbers) for numbers in by_topic)
        await ear.silent()


async def test_a_clean_start_forgets_the_session() -> None:
    async with endpoint() as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        await ear.subscribe(Subscription("a", 1))
        await ear.leave()
        ear = await Client.connect(rig.port, "ear", clean_start=True)
        assert not ear.present
        mouth = await Client.connect(rig.port, "mouth")
        await mouth.publish("a", b"x")
        await ear.silent()
        await ear.leave()
        assert rig.log.notes(PREFIX + b"s/") == []


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [1, 2])
async def test_session_and_queue_survive_a_restart(version: int, qos: int) -> None:
    options = {"version": 4, "clean_start": False} if version == 4 else LASTING
    log = MemoryLog()
    async with endpoint(log) as rig:
        ear = await Client.connect(rig.port, "ear", **options)
        await ear.subscribe(Subscription("a/#", qos))
        await ear.leave()
        mouth = await Client.connect(rig.port, "mouth")
        for i in range(20):
            await mouth.publish("a/b", b"%d" % i, qos)
    async with endpoint(log) as rig:
        ear = await Client.connect(rig.port, "ear", **options)
        assert ear.present
        found = [await ear.expect(Publish) for _ in range(20)]
        assert [packet.payload for packet in found] == [b"%d" % i for i in range(20)]
        for packet in found:
            ear.send(PubAck(packet.packet_id) if qos == 1 else PubRec(packet.packet_id))
            if qos == 2:
                await ear.expect(PubRel)
                ear.send(PubComp(packet.packet_id))
        await ear.silent()
        mouth = await Client.connect(rig.port, "mouth")
        await mouth.publish("a/b", b"live", qos)
        assert (await ear.message()).payload == b"live"


async def test_what_was_acknowledged_is_not_repeated_after_a_restart() -> None:
    log = MemoryLog()
    async with endpoint(log) as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        await ear.subscribe(Subscription("a", 1))
        for i in range(5):
            await ear_publish(rig.port, b"%d" % i)
            assert (await ear.message()).payload == b"%d" % i
        await ear.silent()
        rig.broker.sweep()
        await ear_publish(rig.port, b"last")
        await ear.expect(Publish)
    async with endpoint(log) as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        assert (await ear.message()).payload == b"last"
        await ear.silent()


async def ear_publish(port: int, payload: bytes, topic: str = "a", qos: int = 1) -> None:
    mouth = await Client.connect(port, "mouth")
    await mouth.publish(topic, payload, qos)
    await mouth.leave()


async def test_qos_2_from_a_device_is_once_across_a_restart() -> None:
    log = MemoryLog()
    async with endpoint(log) as rig:
        device = await Client.connect(rig.port, "m1", **LASTING)
        device.send(Publish("iot/m1/telemetry", b"x", 2, packet_id=5))
        await device.expect(PubRec)
    async with endpoint(log) as rig:
        device = await Client.connect(rig.port, "m1", **LASTING)
        assert device.present
        device.send(Publish("iot/m1/telemetry", b"x", 2, dup=True, packet_id=5))
        await device.expect(PubRec)
        assert len(rig.logged()) == 1
        device.send(PubRel(5))
        await device.expect(PubComp)
    async with endpoint(log) as rig:
        device = await Client.connect(rig.port, "m1", **LASTING)
        device.send(Publish("iot/m1/telemetry", b"y", 2, packet_id=5))
        await device.expect(PubRec)
        assert [payload for _, payload in rig.logged()] == [b"x", b"y"]


async def test_qos_2_to_a_client_is_once_across_restarts_at_every_step() -> None:
    log = MemoryLog()
    async with endpoint(log) as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        await ear.subscribe(Subscription("iot/ear/command", 2))
        await rig.broker.publish("iot/ear/command", b"go", qos=2)
        sent = await ear.expect(Publish)
    async with endpoint(log) as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        again = await ear.expect(Publish)
        assert (again.packet_id, again.dup, again.payload) == (sent.packet_id, True, b"go")
        ear.send(PubRec(again.packet_id))
        await ear.expect(PubRel)
    async with endpoint(log) as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        assert (await ear.expect(PubRel)).packet_id == sent.packet_id
        ear.send(PubComp(sent.packet_id))
        await ear.silent()
        await ear_publish(rig.port, b"", "b")
        rig.broker.sweep()
        await ear_publish(rig.port, b"", "b")
    async with endpoint(log) as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        await ear.silent()


async def test_the_same_qos_2_message_read_back_from_the_log_keeps_its_id() -> None:
    log = MemoryLog()
    async with endpoint(log) as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        await ear.subscribe(Subscription("a", 2))
        await ear_publish(rig.port, b"x", qos=2)
        sent = await ear.expect(Publish)
    async with endpoint(log) as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        again = await ear.expect(Publish)
        assert (again.packet_id, again.dup, again.payload) == (sent.packet_id, True, b"x")


async def test_the_suback_of_a_lasting_session_waits_for_the_log() -> None:
    async with endpoint() as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        rig.gate.clear()
        ear.send(Subscribe(1, [Subscription("a", 1)]))
        await ear.silent()
        rig.gate.set()
        await ear.expect(SubAck)


async def test_a_tail_of_the_log_without_queue_notes_is_routed_again() -> None:
    log = MemoryLog()
    async with endpoint(log, limits=replace(FAST, sweep_s=1000)) as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        await ear.subscribe(Subscription("a", 1))
        await ear.leave()
        await ear_publish(rig.port, b"1")
        await ear_publish(rig.port, b"2")
        # The crash: notes of the last delivery have not been taken
    assert len(log.notes(PREFIX + b"q/")) < 2
    async with endpoint(log) as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        assert [(await ear.message()).payload for _ in range(2)] == [b"1", b"2"]
        await ear.silent()


async def test_sessions_end_when_their_time_is_over() -> None:
    clock, log = ManualClock(), MemoryLog()
    async with endpoint(log, clock=clock) as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        ear.send(Disconnect())
        assert await ear.closed() == []
        rig.broker.sweep()
        clock.advance(1800)
    async with endpoint(log, clock=clock) as rig:
        clock.advance(1700)
        rig.broker.sweep()
        assert (await Client.connect(rig.port, "ear", **LASTING)).present
        await Client.opened[-1].leave()
        await ear_publish(rig.port, b"x")
        clock.advance(3601)
        rig.broker.sweep()
        assert not (await Client.connect(rig.port, "ear", **LASTING)).present


async def test_a_retained_message_is_kept_replaced_and_cleared() -> None:
    log = MemoryLog()
    async with endpoint(log) as rig:
        await ear_publish_retained(rig.port, b"one")
        await ear_publish_retained(rig.port, b"two")
    async with endpoint(log) as rig:
        for name in ("iot/m1/status", "iot/+/status", "#", "iot/m1/status/#"):
            late = await Client.connect(rig.port, "late")
            await late.subscribe(Subscription(name, 1))
            message = await late.message()
            assert (message.payload, message.retain, message.qos) == (b"two", True, 1)
        ear = await Client.connect(rig.port, "ear")
        for handling, count in ((1, 1), (2, 0), (1, 0), (0, 1)):
            ear.send(Subscribe(2, [Subscription("#", 1, retain_handling=handling)]))
            await ear.expect(SubAck)
            for _ in range(count):
                await ear.message()
            await ear.silent()
        await ear_publish_retained(rig.port, b"")
        assert rig.log.notes(PREFIX + b"r/") == []
        assert (await ear.message()).payload == b""
        late = await Client.connect(rig.port, "late")
        await late.subscribe(Subscription("#", 1))
        await late.silent()


async def ear_publish_retained(port: int, payload: bytes) -> None:
    mouth = await Client.connect(port, "m1")
    await mouth.publish("iot/m1/status", payload, retain=True)
    await mouth.leave()


async def test_a6_the_retained_store_is_bounded() -> None:
    async with endpoint(limits=replace(FAST, max_retained=2)) as rig:
        client = await Client.connect(rig.port)
        for name in ("a", "b", "c", "a"):
            assert await client.publish(name, b"x", retain=True) == 0
        assert rig.broker.counters.retained_refused == 1
        assert len(rig.logged()) == 4


@pytest.mark.parametrize("version", [4, 5])
async def test_a_will_is_a_message_like_any_other(version: int) -> None:
    async with endpoint() as rig:
        ear = await Client.connect(rig.port, "ear")
        await ear.subscribe(Subscription("iot/+/status", 1))
        will = Will("iot/m1/status", b"off", 1, retain=True)
        device = await Client.connect(rig.port, "m1", version=version, will=will)
        device.send(Disconnect())
        await device.closed()
        await ear.silent()
        device = await Client.connect(rig.port, "m1", version=version, will=will)
        await device.leave()
        message = await ear.message()
        assert (message.topic, message.payload, message.qos) == ("iot/m1/status", b"off", 1)
        assert rig.logged() == [("iot/m1/status", b"off")]
        assert rig.log.notes(PREFIX + b"w/") == []
        assert len(rig.log.notes(PREFIX + b"r/")) == 1


async def test_a_delayed_will_waits_and_is_dropped_when_the_client_is_back() -> None:
    clock = ManualClock()
    will = Will("w", b"off", 1, properties={props.WILL_DELAY: 60})
    async with endpoint(clock=clock) as rig:
        device = await Client.connect(rig.port, "m1", will=will, **LASTING)
        await device.leave()
        await until(lambda: not rig.broker.counters.clients)
        clock.advance(59)
        rig.broker.sweep()
        device = await Client.connect(rig.port, "m1", will=will, **LASTING)
        clock.advance(59)
        rig.broker.sweep()
        assert rig.logged() == []
        await device.leave()
        await until(lambda: not rig.broker.counters.clients)
        clock.advance(61)
        rig.broker.sweep()
        assert await rig.until_logged(1) == [("w", b"off")]


async def test_disconnect_with_will_publishes_it() -> None:
    async with endpoint() as rig:
        device = await Client.connect(rig.port, "m1", will=Will("w", b"off"))
        device.send(Disconnect(4))
        assert await rig.until_logged(1) == [("w", b"off")]


async def test_wills_survive_a_restart_and_wait_for_devices_to_come_back() -> None:
    clock, log = ManualClock(), MemoryLog()
    async with endpoint(log, clock=clock) as rig:
        for name in ("m1", "m2"):
            client = await Client.connect(rig.port, name, will=Will(f"iot/{name}/status", b"off"))
            await client.publish("x", b"")
    async with endpoint(log, clock=clock) as rig:
        await Client.connect(rig.port, "m1")
        clock.advance(31)
        rig.broker.sweep()
        found = await rig.until_logged(3)
        assert found.count(("iot/m2/status", b"off")) == 1
        assert ("iot/m1/status", b"off") not in found


@pytest.mark.parametrize("version", [4, 5])
async def test_takeover_ends_the_older_connection(version: int) -> None:
    async with endpoint() as rig:
        one = await Client.connect(rig.port, "m1", version=version)
        two = await Client.connect(rig.port, "m1", version=version)
        assert await one.closed() == ([Disconnect(0x8E)] if version == 5 else [])
        await two.publish("a", b"x")
        assert rig.broker.counters.takeovers == 1
        assert rig.broker.counters.clients == 1


async def test_f17_an_acknowledgement_is_never_sent_on_a_newer_connection() -> None:
    async with endpoint() as rig:
        rig.gate.clear()
        one = await Client.connect(rig.port, "m1")
        one.send(Publish("a", b"x", 1, packet_id=1))
        await one.silent()
        two = await Client.connect(rig.port, "m1")
        two.send(Publish("a", b"y", 1, packet_id=2))
        rig.gate.set()
        assert (await two.expect(PubAck)).packet_id == 2
        await two.silent()


async def test_expired_messages_are_not_delivered() -> None:
    clock = ManualClock()
    async with endpoint(clock=clock) as rig:
        ear = await Client.connect(rig.port, "ear", **LASTING)
        await ear.subscribe(Subscription("iot/ear/command", 1))
        await ear.leave()
        await until(lambda: not rig.broker.counters.clients)
        await rig.broker.publish("iot/ear/command", b"old", qos=1, expiry_s=10)
        await rig.broker.publish("iot/ear/command", b"fresh", qos=1, expiry_s=100)
        clock.advance(11)
        ear = await Client.connect(rig.port, "ear", **LASTING)
        message = await ear.message()
        assert message.payload == b"fresh"
        assert (message.properties or {})[props.MESSAGE_EXPIRY] == 89
        assert rig.broker.counters.expired == 1


def test_a_note_of_a_later_release_stops_the_start_d_22() -> None:
    with pytest.raises(StopError, match="version 9"):
        decode_record(b"\x96\x09\x05\x00\x00\xa0\x90", SessionRecord)
    with pytest.raises(StopError, match="damaged"):
        decode_record(b"\xc1", SessionRecord)
