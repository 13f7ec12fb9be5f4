"""`millrace run ROLE…`: roles in this process, until told to end."""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from millrace import app
from millrace.cli.options import Data, Http, Mqtt, settings_from, sound
from millrace.errors import UsageError
from millrace.observe import set_up_logging
from millrace.settings import Settings


def run(
    roles: Annotated[list[str], typer.Argument(help=f"One or more of: {' '.join(app.ROLES)}.")],
    data: Data = None,
    http: Http = None,
    mqtt: Mqtt = None,
    *,
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
) -> None:
    """Run one or more roles in this process; SIGTERM drains and ends."""
    unknown = [role for role in roles if role not in app.ROLES]
    if unknown:
        raise UsageError(
            f"there is no role {', '.join(unknown)}", f"choose from: {' '.join(app.ROLES)}"
        )
    settings = sound(settings_from(data, http, mqtt))
    set_up_logging(roles[0], level=settings.logging.level, form=settings.logging.format)
    start(run_roles(settings, roles, child=child))


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
        await _end_with_parent(life)
    await app.run(settings, roles, life)


def start(coroutine: Any) -> None:
    """Run a coroutine on the fastest event loop that this machine has."""
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


async def _end_with_parent(life: app.Life) -> None:
    """End when standard input is closed: the parent asked for it, or is gone."""

    class Watch(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            life.end()

    await asyncio.get_running_loop().connect_read_pipe(Watch, sys.stdin)
