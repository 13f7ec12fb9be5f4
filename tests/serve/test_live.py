"""The live stream over a real server: API-130 to API-135; faults F43; attacks A44, A45, A47."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect

from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.live_memory import MemoryLive
from tests.serve.conftest import serving
from tests.serve.memory import Town

NOW_NS = 1_772_366_400_000_000_000
Frame = dict[str, Any]


async def ticket_of(address: str) -> str:
    async with httpx.AsyncClient(base_url=f"http://{address}") as client:
        answer = await client.post("/api/live/ticket")
    assert answer.status_code == 201
    assert answer.json()["expires_in"] == 30
    return str(answer.json()["ticket"])


@asynccontextmanager
async def live(address: str, **how: Any) -> AsyncIterator[ClientConnection]:
    url = f"ws://{address}/api/live?ticket={await ticket_of(address)}"
    subprotocols = [websockets.Subprotocol("millrace.v1")]
    how = {"compression": None, "max_queue": None, "close_timeout": 1, **how}
    async with connect(url, subprotocols=subprotocols, **how) as socket:
        yield socket


async def say(socket: ClientConnection, **frame: Any) -> None:
    await socket.send(json.dumps(frame))


async def hear(socket: ClientConnection, type_: str, within_s: float = 5) -> Frame:
    async with asyncio.timeout(within_s):
        while True:
            frame: Frame = json.loads(await socket.recv())
            if frame["type"] == type_:
                return frame


async def subscribed(socket: ClientConnection, **frame: Any) -> Frame:
    await say(socket, op="subscribe", **{"id": "s", "kind": "points", **frame})
    return await hear(socket, "subscribed")


async def closed(socket: ClientConnection) -> int | None:
    async with asyncio.timeout(5):
        await socket.wait_closed()
    return socket.close_code


async def test_api_132_points_come_with_their_commit_id(server: str, town: Town) -> None:
    volts = town.series_id("car-1", "voltage_dc")
    async with live(server) as socket:
        assert socket.subprotocol == "millrace.v1"
        assert (await subscribed(socket))["position"] == "0"
        town.commit([(volts, NOW_NS, 700.5, 4, 1)], NOW_NS)
        assert await hear(socket, "points") == {
            "type": "points", "id": "s", "position": "1",
            "points": [
                {
                    "device_id": "car-1", "metric": "voltage_dc", "channel": "", "unit": "V",
                    "time": "2026-03-01T12:00:00Z", "value": 700.5, "quality": ["clock"],
                }
            ],
        }  # fmt: skip


async def test_d_33_values_are_conflated_per_series(server: str, town: Town) -> None:
    one, two = town.series_id("car-1", "a"), town.series_id("car-2", "a")
    async with live(server) as socket:
        await subscribed(socket)
        late = (one, NOW_NS - 5, -1.0, 0, 0)
        rows = [(one, NOW_NS + n, float(n), 0, 0) for n in range(100)]
        town.commit([*rows, late, (two, NOW_NS, 7.0, 0, 0)], NOW_NS)
        frame = await hear(socket, "points")
        assert [(row["device_id"], row["value"]) for row in frame["points"]] == [
            ("car-1", 99.0), ("car-2", 7.0)
        ]  # fmt: skip


async def test_api_131_filters_and_unsubscribe(server: str, town: Town) -> None:
    town.commit([(town.series_id("car-1", "a"), NOW_NS, 1.0, 0, 0)], NOW_NS)
    async with live(server) as socket:
        await subscribed(socket, id="one", devices=["car-2"])
        await subscribed(socket, id="two", metrics=["b"], devices=["car-1", "car-3"])
        rows = [
            (town.series_id(device, metric), NOW_NS, 1.0, 0, 0)
            for device in ("car-1", "car-2", "car-3") for metric in "ab"
        ]  # fmt: skip
        town.commit(rows, NOW_NS)
        frames = [await hear(socket, "points"), await hear(socket, "points")]
        got = {
            frame["id"]: [(row["device_id"], row["metric"]) for row in frame["points"]]
            for frame in frames
        }
        assert got == {
            "one": [("car-2", "a"), ("car-2", "b")], "two": [("car-1", "b"), ("car-3", "b")]
        }  # fmt: skip
        await say(socket, op="unsubscribe", id="one")
        town.commit(rows, NOW_NS)
        assert (await hear(socket, "points"))["id"] == "two"


async def test_api_133_resume_is_without_gap_or_repetition(server: str, town: Town) -> None:
    volts = town.series_id("car-1", "a")
    async with live(server) as first:
        await subscribed(first)
        for number in range(5):
            town.commit([(volts, NOW_NS + number, float(number), 0, 0)], NOW_NS)
        position = (await hear(first, "points"))["position"]
    for number in range(5, 300):
        town.commit([(volts, NOW_NS + number, float(number), 0, 0)], NOW_NS)
    async with live(server) as socket:
        await subscribed(socket, since="0")
        seen: list[float] = []
        frame: Frame = {}
        while len(seen) < 300:
            frame = await hear(socket, "points")
            seen += [row["value"] for row in frame["points"]]
        assert seen == [float(number) for number in range(300)]
        assert frame["position"] == "300"
        town.commit([(volts, NOW_NS + 300, 300.0, 0, 0)], NOW_NS)
        assert [row["value"] for row in (await hear(socket, "points"))["points"]] == [300.0]
        await subscribed(socket, id="again", since=position)
        assert (await hear(socket, "points"))["points"][0]["value"] == float(position)


async def test_api_133_older_than_the_ring_comes_from_hot_batches(
    make_app: Callable[..., FastAPI], town: Town
) -> None:
    volts = town.series_id("car-1", "a")
    app = make_app(live=MemoryLive(budget_bytes=2_000))
    async with serving(app) as address, live(address) as socket:
        await subscribed(socket, id="other", devices=["nobody"])
        for number in range(60):
            town.commit([(volts, NOW_NS + number, float(number), 0, 0)], NOW_NS)
        while app.state.room.hub.newest < 60:  # noqa: ASYNC110 - the hub has no such event
            await asyncio.sleep(0.01)
        await subscribed(socket, since="10")
        seen: list[float] = []
        while len(seen) < 50:
            seen += [row["value"] for row in (await hear(socket, "points"))["points"]]
        assert seen == [float(number) for number in range(10, 60)]


async def test_api_133_what_is_sealed_is_a_gap(server: str, town: Town) -> None:
    volts = town.series_id("car-1", "a")
    for number in range(20):
        town.commit([(volts, NOW_NS + number, float(number), 0, 0)], NOW_NS)
    town.sealed_through = 15
    async with live(server) as socket:
        await subscribed(socket, since="3")
        assert await hear(socket, "gap") == {
            "type": "gap", "id": "s", "from": "3", "to": "15", "dropped": 0, "reason": "expired"
        }  # fmt: skip


async def test_api_132_events_live_and_resumed(server: str, town: Town) -> None:
    town.say("car-1", "hello", NOW_NS, boot=1)
    town.say("car-2", "hello", NOW_NS)
    async with live(server) as socket:
        assert await subscribed(socket, kind="events", devices=["car-1"], since="0")
        first = await hear(socket, "event")
        assert first["position"] == "1"
        assert first["event"] == {
            "time": "2026-03-01T12:00:00Z", "type": "hello", "position": "1-1",
            "device_id": "car-1", "boot": 1,
        }  # fmt: skip
        town.say("car-2", "bad_seq", NOW_NS)
        town.say("car-1", "bad_seq", NOW_NS)
        assert (await hear(socket, "event"))["position"] == "4"


async def test_f43_api_134_a_slow_client_gets_a_gap_and_costs_nobody(
    server: str, town: Town
) -> None:
    ids = [town.series_id(f"car-{n}", "m" * 100) for n in range(1000)]
    async with live(server, max_queue=1) as slow, live(server) as quick:
        await subscribed(slow)
        await subscribed(quick)
        slow.transport.pause_reading()
        newest = 0
        for number in range(60):
            newest = town.commit([(n, NOW_NS + number, 1.0, 0, 0) for n in ids], NOW_NS)
            while (await hear(quick, "points"))["position"] != str(newest):
                pass
        slow.transport.resume_reading()
        gap = await hear(slow, "gap")
        assert gap["reason"] == "slow"
        assert gap["dropped"] > 0
        assert int(gap["from"]) < int(gap["to"]) < newest
        assert int((await hear(slow, "points"))["position"]) >= int(gap["to"])


async def test_a44_a_page_of_another_origin_is_refused(server: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with live(server, origin="http://evil.example"):
            pass
    assert refused.value.response.status_code == 403
    async with live(server, origin=f"http://{server}") as socket:
        await subscribed(socket)


async def test_a45_a_ticket_is_used_once_and_soon(server: str, clock: ManualClock) -> None:
    url = f"ws://{server}/api/live?ticket="
    ticket = await ticket_of(server)
    async with connect(url + ticket) as socket:
        await subscribed(socket)
    late = await ticket_of(server)
    clock.advance(31)
    for bad in (ticket, late, "", "guess"):
        async with connect(url + bad) as socket:
            assert await closed(socket) == 4401


async def test_a47_a_frame_that_is_too_large(server: str) -> None:
    async with live(server) as socket:
        await socket.send("x" * 17_000)
        assert await closed(socket) == 1009


async def test_a47_too_many_frames(server: str) -> None:
    async with live(server) as socket:
        for _ in range(150):
            await say(socket, op="pong")
        assert await closed(socket) == 4429


async def test_a47_at_most_a_hundred_subscriptions(server: str, clock: ManualClock) -> None:
    async with live(server) as socket:
        for number in range(100):
            clock.advance(1)
            await subscribed(socket, id=str(number))
        await say(socket, op="subscribe", id="more", kind="points")
        assert (await hear(socket, "error"))["code"] == "invalid_field"


async def test_api_135_no_pong_closes(make_app: Callable[..., FastAPI], clock: ManualClock) -> None:
    app = make_app(ping_every_s=0.05)
    async with serving(app) as address:
        async with live(address) as polite, live(address) as silent:
            for _ in range(4):
                await hear(polite, "ping")
                await say(polite, op="pong")
                await asyncio.sleep(0.01)
                clock.advance(0.05)
            assert await closed(silent) == 4408
            await subscribed(polite)
        assert b"millrace_ws_connections 0.0" in app.state.room.deps.metrics.exposition()[0]


@pytest.mark.parametrize(
    "frame",
    [
        "not json", "[]", '{"op":"dance"}', '{"op":"subscribe"}',
        '{"op":"subscribe","id":"","kind":"points"}',
        '{"op":"subscribe","id":"x","kind":"secrets"}',
        '{"op":"subscribe","id":"x","kind":"points","since":"-1"}',
        '{"op":"subscribe","id":"x","kind":"points","since":"1e9"}',
        '{"op":"subscribe","id":"x","kind":"points","devices":"car-1"}',
        '{"op":"subscribe","id":"x","kind":"points","role":"admin"}',
        '{"op":"subscribe","id":"taken","kind":"points"}',
    ],
)  # fmt: skip
async def test_bad_frames_are_answered_and_the_connection_goes_on(server: str, frame: str) -> None:
    async with live(server) as socket:
        await subscribed(socket, id="taken")
        await socket.send(frame)
        error = await hear(socket, "error")
        assert error["detail"]
        await subscribed(socket, id="after")


async def test_api_131_the_first_subscription_misses_nothing_that_is_being_read(
    server: str, town: Town
) -> None:
    """Commits race with the first subscription; positions must be without a hole."""
    volts = town.series_id("car-1", "a")
    for _ in range(10):
        async with live(server) as socket:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(commit_some(town, volts))
                start = int((await subscribed(socket))["position"])
            end, seen = len(town.batches), start
            while seen < end:
                seen = int((await hear(socket, "points"))["position"])


async def commit_some(town: Town, series: int) -> None:
    for _ in range(20):
        number = len(town.batches)
        town.commit([(series, NOW_NS + number, float(number), 0, 0)], NOW_NS)
        await asyncio.sleep(0.002)
