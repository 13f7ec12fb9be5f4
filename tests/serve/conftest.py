"""A town, an application on it, a client, and a real server when a test needs sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.live_memory import MemoryLive
from millrace.observe import Metrics
from millrace.serve.app import create_app
from millrace.serve.deps import ServeDeps
from millrace.serve.server import serve_app
from tests.serve.memory import (
    MemoryHot,
    MemoryLiveRows,
    MemoryRegistry,
    MemorySeriesQuery,
    Town,
)

MakeApp = Callable[..., FastAPI]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def deps(town: Town, clock: ManualClock) -> ServeDeps:
    return ServeDeps(
        series=MemorySeriesQuery(town), registry=MemoryRegistry(town), hot=MemoryHot(town),
        rows=MemoryLiveRows(town), live=MemoryLive(), preview=preview,
        metrics=Metrics(["serve"], version="1.2.3"), clock=clock, version="1.2.3",
        cursor_key=b"k" * 32, durability={"log": "sqlite", "fsync": "every_commit"},
    )  # fmt: skip


def preview(topic: str, payload: bytes, at_ns: int, retain: bool) -> dict[str, Any]:  # noqa: FBT001
    return {
        "family": "meter", "category": "telemetry", "device_id": topic.split("/")[1],
        "outcome": "stored", "points": [{"size": len(payload), "at": at_ns, "retain": retain}],
        "dead_letter": [], "events": [], "alerts": [],
    }  # fmt: skip


@pytest.fixture
def make_app(deps: ServeDeps) -> Iterator[MakeApp]:
    made: list[FastAPI] = []

    def make(**changes: Any) -> FastAPI:
        app = create_app(replace(deps, **changes))
        made.append(app)
        return app

    yield make
    for app in made:
        room = app.state.room
        room.health.close()
        for desk in (room.series_desk, room.registry_desk, room.rows_desk, room.export_desk):
            desk.close()


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
async def client(make_app: MakeApp) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_app()) as made:
        yield made


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """Run the application behind a real server; yields its address, host:port."""
    over = asyncio.Event()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve_app(app, "127.0.0.1", 0, over=over, ready=address.set_result))
        try:
            yield await address
        finally:
            over.set()


@pytest.fixture
async def server(make_app: MakeApp) -> AsyncIterator[str]:
    async with serving(make_app()) as address:
        yield address
