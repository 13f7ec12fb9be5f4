"""`millrace up`: every role on this machine, supervised, with a summary of what goes on."""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from millrace import app
from millrace.cli.hosting import end_on_signals, run_roles, start
from millrace.cli.options import Data, Http, Mqtt, settings_from, sound
from millrace.errors import RetryError
from millrace.flow.balance import Balance
from millrace.flow.supervise import Child, Supervisor
from millrace.observe import set_up_logging
from millrace.settings import Settings
from millrace.wiring.setup import open_books, prepare

# Edge, core and serve: cut where the log and the ledger are, so that no CPU-bound thread shares a
# process with a socket that somebody waits for (D-01).
PROCESSES = {"edge": ["ingest"], "core": ["process", "tend"], "serve": ["serve"]}

SUMMARY_EVERY_S = 1.0
PLAIN_SUMMARY_EVERY_S = 10.0


def up(
    data: Data = None,
    http: Http = None,
    mqtt: Mqtt = None,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Add simulated devices.")] = False,
    single: Annotated[bool, typer.Option("--single", help="All roles in one process.")] = False,
) -> None:
    """Run everything on this machine: MQTT endpoint, pipeline, store, API and page."""
    settings = sound(settings_from(data, http, mqtt))
    set_up_logging("up", level=settings.logging.level, form=settings.logging.format)
    prepare(settings, demo=demo)
    if single:
        # One interpreter for all: who waits for a socket gets its turn ten times sooner (D-01).
        sys.setswitchinterval(0.0005)
        roles = [role for part in PROCESSES.values() for role in part]
        start(run_roles(settings, roles, child=False))
    else:
        start(_supervised(settings, demo=demo))


async def _supervised(settings: Settings, *, demo: bool) -> None:
    os.environ.update(_environment(settings))
    children = [
        Child(name, [sys.executable, "-m", "millrace.cli.child", "run", *roles])
        for name, roles in PROCESSES.items()
    ]
    if demo:
        children.append(Child("demo", [], after=children[0]))
    screen = Screen(settings, children)

    def changed(child: Child) -> None:
        if demo and child.name == "edge":
            # Where the endpoint listens is known only when it does: its port may be any free one.
            children[-1].command = _demo_command(child.said["listening"].get("mqtt"))
        screen.changed(child)

    supervisor = Supervisor(children, changed=changed)
    life = app.Life(lambda *_: None)
    end_on_signals(life)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(_until_ended(supervisor, life))
        showing = group.create_task(screen.show())
        group.create_task(_end(life, supervisor))
        await running
        showing.cancel()


def _demo_command(address: str | None) -> list[str]:
    where = ["--url", f"mqtt://{address}"] if address else []
    return [sys.executable, "-m", "millrace", "simulate", "demo", *where, "--child"]


async def _until_ended(supervisor: Supervisor, life: app.Life) -> None:
    try:
        await supervisor.run()
    finally:
        life.end()


async def _end(life: app.Life, supervisor: Supervisor) -> None:
    await life.over.wait()
    supervisor.stop()


def _environment(settings: Settings) -> dict[str, str]:
    """Return the flags as variables, so that every child reads the same settings."""
    url = settings.broker.url
    return {
        "MILLRACE_DATA": str(settings.data),
        "MILLRACE_API__LISTEN": settings.api.listen,
        "MILLRACE_BROKER__WEBSOCKET_PORT": str(settings.broker.websocket_port),
        **({"MILLRACE_BROKER__URL": url} if isinstance(url, str) else {}),
    }


class Screen:
    """What a person sees while everything runs: where things listen, and how they go."""

    def __init__(self, settings: Settings, children: list[Child]) -> None:
        self._settings = settings
        self._children = children
        self._console = Console(stderr=True)
        self._shown = asyncio.Event()
        self._before = Balance()
        self._read: Callable[[], Balance] | None = None

    def changed(self, child: Child) -> None:
        """Print the addresses once everything is ready; say when a child is back."""
        if child.name == "demo":
            return
        if self._shown.is_set():
            self._console.print(f"{child.name} is back (restart {child.restarts})")
        elif all(c.ready.is_set() for c in self._children if c.name != "demo"):
            self._shown.set()
            self._console.print(self._addresses())

    async def show(self) -> None:
        """Print the summary until cancelled, once there is something to sum up."""
        await self._shown.wait()
        with open_books(self._settings) as self._read:
            if self._console.is_terminal:
                with Live(console=self._console, auto_refresh=False) as live:
                    while True:
                        await asyncio.sleep(SUMMARY_EVERY_S)
                        live.update(self._summary(SUMMARY_EVERY_S), refresh=True)
            while True:
                await asyncio.sleep(PLAIN_SUMMARY_EVERY_S)
                text = self._summary(PLAIN_SUMMARY_EVERY_S)
                self._console.print(text, highlight=False, soft_wrap=True)

    def _addresses(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for child in self._children:
            for name, address in child.said.get("listening", {}).items():
                if address:
                    table.add_row(f"[bold]{name}[/bold]", str(address), f"[dim]{child.name}[/dim]")
        table.add_row("[bold]data[/bold]", str(self._settings.data.resolve()))
        return table

    def _summary(self, seconds: float) -> str:
        if self._read is None:
            return "starting"
        with suppress(RetryError):
            result, before = self._read(), self._before
            self._before = result
            rate = (result.received.total() - before.received.total()) / seconds
            return (
                f"{rate:,.0f} msg/s   received {result.received.total():,}"
                f"   stored {result.stored.total():,}   duplicates {result.duplicate.total():,}"
                f"   dead letters {result.open_letters:,}   lag {result.lag:,}"
                f"   devices {result.devices:,}"
            )
        return "the books cannot be read at the moment"
