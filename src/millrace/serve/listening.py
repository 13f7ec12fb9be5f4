"""The HTTP server: uvicorn inside our own loop, on a socket that we have bound ourselves.

Signals belong to whoever supervises, so uvicorn is not given any.
Source: D-57; faults F51; attacks A38, A47, A66.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from millrace.errors import StopError

MAX_FRAME_BYTES = 16 * 1024
GRACE_S = 5
UNREAD_MS = 60_000
MAX_CONNECTIONS = 2_000
_BACKLOG = 1_024


class _Server(uvicorn.Server):
    """A server that leaves the signals alone and says when it accepts connections."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        StopError: The address is taken, not ours, or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A peer that reads nothing must not hold its connection, and our memory, for ever.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        remedy = "choose another address with --http or the setting api.listen"
        if error.errno == errno.EADDRINUSE:
            remedy = f"stop the program that listens there, or {remedy}"
        raise StopError(
            f"cannot listen for HTTP on {host}:{port}: {error.strerror}", remedy
        ) from error
    return sock


async def serve_http(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    over: asyncio.Event,
    ready: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve until `over` is set, then let running requests finish for up to `GRACE_S`.

    `ready` is told the address once connections are accepted; port 0 chooses a free one.
    Raises:
        StopError: The address is taken.
    """
    with contextlib.closing(listen(host, port)) as sock:
        address = f"{host}:{sock.getsockname()[1]}"
        server = _Server(_config(app), lambda: ready(address))
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(sockets=[sock]))
            await over.wait()
            server.should_exit = True
            await serving


def _config(app: ASGIApp) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return uvicorn.Config(
        app,
        loop="none",
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=MAX_CONNECTIONS,
    )
