"""The application of `create_app` on a socket, with what goes on behind it."""

import asyncio
from collections.abc import Callable

from fastapi import FastAPI

from millrace.serve.app import background
from millrace.serve.listening import serve_http


async def serve_app(
    app: FastAPI,
    host: str,
    port: int,
    *,
    over: asyncio.Event,
    ready: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve the application of `create_app` with what goes on behind it; see `serve_http`."""
    async with asyncio.TaskGroup() as tasks:
        behind = tasks.create_task(background(app))
        await serve_http(app, host, port, over=over, ready=ready)
        behind.cancel()
