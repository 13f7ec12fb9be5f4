"""`millrace up`: every role on this machine, supervised, with a summary of what goes on.

The processes are started before anything else. While they load what they need, the settings are
read and the data folder is prepared here; then they are told to begin. What is not needed to start
them is imported behind that.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from millrace.cli.hosting import end_on_signals, start
from millrace.cli.lean import keep_children_small
from millrace.cli.options import Data, Http, Mqtt
from millrace.flow.life import Life
from millrace.flow.supervise import Child, Supervisor

# Edge, core and serve: cut where the log and the ledger are, so that no CPU-bound thread shares a
# process with a socket that somebody waits for (D-01).
PROCESSES = {"edge": ["ingest"], "core": ["process", "tend"], "serve": ["serve"]}


class Flags(NamedTuple):
    """What was asked for on the command line."""

    data: Path | None
    http: str | None
    mqtt: str | None
    demo: bool


def up(
    data: Data = None,
    http: Http = None,
    mqtt: Mqtt = None,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Add simulated devices.")] = False,
    single: Annotated[bool, typer.Option("--single", help="All roles in one process.")] = False,
) -> None:
    """Run everything on this machine: MQTT endpoint, pipeline, store, API and page."""
    flags = Flags(data, http, mqtt, demo)
    if single:
        _single(flags)
    else:
        start(_supervised(flags))


def _single(flags: Flags) -> None:
    from millrace.cli.prepared import prepared  # noqa: PLC0415 - see the module
    from millrace.cli.roles import run_roles  # noqa: PLC0415

    settings = prepared(*flags)
    # One interpreter for all: who waits for a socket gets its turn ten times sooner (D-01).
    sys.setswitchinterval(0.0005)
    roles = [role for part in PROCESSES.values() for role in part]
    start(run_roles(settings, roles, child=False))


async def _supervised(flags: Flags) -> None:
    keep_children_small()
    children = [
        Child(name, [sys.executable, "-m", "millrace.cli.child", "run", *roles])
        for name, roles in PROCESSES.items()
    ]
    if flags.demo:
        children.append(Child("demo", [], after=children[0]))

    def changed(child: Child) -> None:
        if flags.demo and child.name == "edge":
            # Where the endpoint listens is known only when it does: its port may be any free one.
            children[-1].command = _demo_command(child.said["listening"].get("mqtt"))
        screen.changed(child)

    supervisor = Supervisor(children, changed=changed)
    life = Life(lambda *_: None)
    end_on_signals(life)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(_until_ended(supervisor, life))
        group.create_task(_end(life, supervisor))
        await supervisor.started.wait()
        from millrace.cli.prepared import flags_as_variables, prepared, word_of  # noqa: PLC0415
        from millrace.cli.screen import Screen  # noqa: PLC0415

        settings = prepared(*flags)
        variables = flags_as_variables(settings)
        os.environ.update(variables)  # for the process that comes later
        screen = Screen(settings, children)
        supervisor.begin(word_of(variables))
        showing = group.create_task(screen.show())
        await running
        showing.cancel()


def _demo_command(address: str | None) -> list[str]:
    where = ["--url", f"mqtt://{address}"] if address else []
    return [sys.executable, "-m", "millrace", "simulate", "demo", *where, "--child"]


async def _until_ended(supervisor: Supervisor, life: Life) -> None:
    try:
        await supervisor.run()
    finally:
        life.end()


async def _end(life: Life, supervisor: Supervisor) -> None:
    await life.over.wait()
    supervisor.stop()
