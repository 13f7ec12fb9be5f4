"""Answers for whoever runs the simulator: alive, and ready once every device is connected.

Source: MTR-152.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

_HEAD_BYTES: Final = 8192
_HEAD_S: Final = 5.0
_REASONS: Final = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}

State = Callable[[], dict[str, Any]]


@asynccontextmanager
async def answering(host: str, port: int, state: State) -> AsyncIterator[None]:
    """Answer GET /healthz and /readyz while the block runs.

    Raises:
        OSError: The port is taken.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_answer(head, state()))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, host, port, limit=_HEAD_BYTES)
    try:
        yield
    finally:
        server.close()


def _answer(head: bytes, state: dict[str, Any]) -> bytes:
    path = head.split(b" ", 2)[1].split(b"?")[0] if head.count(b" ") else b""
    is_ready = state["connected"] == state["connections"]
    code = {b"/healthz": 200, b"/readyz": 200 if is_ready else 503}.get(path, 404)
    body = json.dumps({"status": _REASONS[code], **state}).encode()
    return (
        f"HTTP/1.1 {code} {_REASONS[code]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
