"""The event loop of a process, and what ends it; no command-line library and no settings here.

A process that was started by the supervisor carries only this, so that memory goes to its role.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from millrace.flow.life import Life


def _spare_the_collector() -> None:
    """Let the cycle collector run seldom: the hot path makes many objects and no cycles."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    gc.enable()


def start(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on the fastest event loop that this machine has."""
    _spare_the_collector()
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(coroutine)
    else:
        uvloop.run(coroutine)


def end_on_signals(life: Life) -> None:
    """Let SIGTERM and SIGINT end a life."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, life.end)


async def end_with_parent(life: Life) -> None:
    """End when standard input is closed: the parent asked for it, or is gone."""

    class Watch(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            life.end()

    await asyncio.get_running_loop().connect_read_pipe(Watch, sys.stdin)
