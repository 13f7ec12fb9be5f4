"""The server itself: addresses that are taken, stopping, slow and hostile peers."""

import asyncio
import socket
from collections.abc import Callable, Iterator

import httpx
import pyarrow as pa
import pytest
from fastapi import FastAPI

from millrace.errors import StopError
from millrace.serve.server import serve_app
from tests.serve.conftest import serving
from tests.serve.memory import Town


async def test_an_address_that_is_taken_says_what_to_do(
    make_app: Callable[..., FastAPI],
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ExceptionGroup) as caught:
            await serve_app(make_app(), "127.0.0.1", port, over=asyncio.Event())
    error = caught.value.exceptions[0]
    assert isinstance(error, StopError)
    assert str(port) in str(error)
    assert "--http" in error.remedy


async def test_f51_running_requests_are_finished_before_it_stops(
    make_app: Callable[..., FastAPI], town: Town
) -> None:
    town.add_device("car-1")
    async with serving(make_app()) as address, httpx.AsyncClient() as client:
        url = f"http://{address}"
        assert (await client.get(f"{url}/api/devices/car-1")).status_code == 200
        assert (await client.get(f"{url}/readyz")).json()["status"] == "ready"
        assert "server" not in (await client.get(url)).headers
    with pytest.raises(httpx.ConnectError):
        await httpx.AsyncClient().get(f"http://{address}/healthz")


async def raw(address: str, request: bytes) -> bytes:
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(5):
            return await reader.read(65_536)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /api/latest HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_a25_requests_that_smuggle_are_refused(server: str, request_: bytes) -> None:
    answer = await raw(server, request_)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
    assert b"Traceback" not in answer


async def test_api_033_a_failing_export_is_cut_never_ended_cleanly(
    make_app: Callable[..., FastAPI], town: Town
) -> None:
    series = town.series_id("car-1", "a")
    second = town.series_id("car-2", "a")
    town.commit([(series, 1_772_366_399_000_000_000, 1.0, 0, 0)], 1)
    town.commit([(second, 1_772_366_399_000_000_000, 1.0, 0, 2)], 1)
    app = make_app()
    room = app.state.room

    async with serving(app) as address, httpx.AsyncClient() as client:
        url = f"http://{address}/api/export/points"
        assert (await client.get(url)).status_code == 200
        export = room.deps.series.export
        room.deps.series.export = lambda ids, span: fails_after(export(ids, span))
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url)


def fails_after(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield next(batches)
    raise OSError("the disk is gone")
