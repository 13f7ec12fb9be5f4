"""Running roles in this process until somebody asks for the end; no command-line library here.

A process that was started by the supervisor carries only this, so that memory goes to its role.
"""

import asyncio
import gc
import json
import signal
import sys
from collections.abc import Coroutine, Mapping
from typing import Any

from millrace import app
from millrace.settings import Settings


async def run_roles(settings: Settings, roles: list[str], *, child: bool) -> None:
    """Run roles until a signal comes or, for a child, the parent has closed standard input."""
    waiting = set(roles)
    said: dict[str, Any] = {}

    def announce(role: str, listening: Mapping[str, Any]) -> None:
        waiting.discard(role)
        said.update(listening)
        if not waiting:
            sys.stdout.write(json.dumps({"ready": roles, "listening": said}) + "\n")
            sys.stdout.flush()

    life = app.Life(announce)
    end_on_signals(life)
    if child:
        await end_with_parent(life)
    await app.run(settings, roles, life)


def _spare_the_collector() -> None:
    """Let the cycle collector run seldom: the hot path makes many objects and no cycles."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def start(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on the fastest event loop that this machine has."""
    _spare_the_collector()
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(coroutine)
    else:
        uvloop.run(coroutine)


def end_on_signals(life: app.Life) -> None:
    """Let SIGTERM and SIGINT end a life."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, life.end)


async def end_with_parent(life: app.Life) -> None:
    """End when standard input is closed: the parent asked for it, or is gone."""

    class Watch(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            life.end()

    await asyncio.get_running_loop().connect_read_pipe(Watch, sys.stdin)
