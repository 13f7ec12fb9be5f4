"""Who breaks a rule while it is still sending can read which: the endpoint lingers, within bounds.

A socket that is closed with unread bytes is reset by the kernel, and a reset may overtake what was
written last. Source: MQTT 5.0, 4.13; F37.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from millrace.adapters.broker_endpoint.connection import LINGER_BYTES, LINGER_S
from millrace.adapters.clock_manual import ManualClock
from millrace.mqtt.packets import Connect, Disconnect, Will, encode
from tests.adapters.endpoint_rig import FAST, Client, Rig, endpoint, until

MIB = 1 << 20
LIMITS = replace(FAST, max_packet_bytes=65_536)
CHUNK = b"x" * 65_536
TOO_LARGE = b"\x30\x80\x80\x80\x04"  # PUBLISH of 8 MiB


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with endpoint(limits=LIMITS) as opened:
        yield opened


def speak(port: int, body_bytes: int) -> bytes:
    """Connect, declare 8 MiB, send a part of it without reading; return what was answered."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(encode(Connect("big", 5), 5))
        assert sock.recv(1000)[0] == 0x20
        sock.sendall(TOO_LARGE)
        for _ in range(body_bytes // len(CHUNK)):
            sock.sendall(CHUNK)
        answer = b""
        while data := sock.recv(1000):
            answer += data
        return answer


async def test_f37_the_reason_reaches_a_client_that_is_still_sending(rig: Rig) -> None:
    for _ in range(10):
        answer = await asyncio.to_thread(speak, rig.port, 2 * MIB)
        assert answer == encode(Disconnect(0x95), 5)
    await until(lambda: rig.broker.counters.connections == 0)


async def test_f37_nobody_is_listened_to_without_end(rig: Rig) -> None:
    with pytest.raises(ConnectionError):
        await asyncio.to_thread(speak, rig.port, 32 * LINGER_BYTES)
    await until(lambda: rig.broker.counters.connections == 0)


async def test_f37_a_client_that_neither_reads_nor_closes_is_dropped() -> None:
    clock = ManualClock()
    async with endpoint(limits=LIMITS, clock=clock) as rig:
        client = await Client.connect(rig.port)
        client.send_raw(TOO_LARGE)
        await until(lambda: rig.broker.counters.protocol_errors)
        clock.advance(LINGER_S - 0.1)
        rig.broker.sweep()
        await asyncio.sleep(0.01)
        assert rig.broker.counters.connections == 1
        clock.advance(0.2)
        await until(lambda: rig.broker.counters.connections == 0)


async def test_f37_the_will_does_not_wait_for_the_farewell(rig: Rig) -> None:
    client = await Client.connect(rig.port, will=Will("a/will", b"gone"))
    client.send_raw(TOO_LARGE)
    assert await rig.until_logged(1) == [("a/will", b"gone")]
    assert rig.broker.counters.connections == 1
    assert await client.closed() == [Disconnect(0x95)]
