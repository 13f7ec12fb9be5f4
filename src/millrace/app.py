"""Start, run and drain roles; embeddable, so tests start them in their own loop.

A role is a coroutine that runs until its life is over. What it is made of comes from `wiring`; here
is only the order in which it starts, what runs beside it, and how it ends. Blocking work (the
pump, the keeper) has a thread of its own, which owns its connections.
Source: architecture.md 3, D-01, D-57, reliability.md F51.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from millrace import wiring
from millrace.flow.backoff import Backoff
from millrace.settings import Settings

_log = structlog.get_logger("millrace.app")

Announce = Callable[[str, Mapping[str, Any]], None]

KEEP_LOG_EVERY_S = 30.0


@dataclass(slots=True)
class Life:
    """When roles end, and where they say that they are ready."""

    announce: Announce
    over: asyncio.Event = field(default_factory=asyncio.Event)
    over_in_threads: threading.Event = field(default_factory=threading.Event)

    def end(self) -> None:
        """Ask everything to drain and stop; a second call does nothing."""
        self.over.set()
        self.over_in_threads.set()


async def run(settings: Settings, roles: Iterable[str], life: Life) -> None:
    """Run roles in this process until their life is over.

    Raises:
        StopError: A role cannot start, or must not go on.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_lived(ROLES[name](settings, life), life)) for name in roles]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)


async def _lived(role: Any, life: Life) -> None:
    try:
        await role
    finally:
        life.end()


async def ingest(settings: Settings, life: Life) -> None:
    """The way in: broker, log, and the care of the log."""
    with wiring.ingest(settings) as parts:
        await parts.broker.start()
        async with asyncio.TaskGroup() as group:
            carrying = group.create_task(parts.worker.run())
            keeping = group.create_task(_keep_log(parts))
            health = group.create_task(parts.health.serve("ingest", life.over))
            life.announce("ingest", {**parts.listening, "health": await parts.health.address()})
            await life.over.wait()
            await parts.broker.close()
            for task in (carrying, keeping):
                task.cancel()
            await health


async def process(settings: Settings, life: Life) -> None:
    """The middle: the pump in its thread."""
    health = wiring.role_health(settings, "process")
    started = threading.Event()
    async with asyncio.TaskGroup() as group:
        pumping = group.create_task(
            asyncio.to_thread(_pump, settings, health, started, life.over_in_threads)
        )
        serving = group.create_task(health.serve("process", life.over))
        await _first(pumping, asyncio.to_thread(started.wait))
        life.announce("process", {"health": await health.address()})
        await serving


async def tend(settings: Settings, life: Life) -> None:
    """The keeper of history: seal, compact, archive, retire."""
    await asyncio.to_thread(_tend, settings, life.over_in_threads)


async def serve(settings: Settings, life: Life) -> None:
    """The way out: API, WebSocket, page."""
    async with wiring.serve(settings) as parts:
        await parts.run(life.over, lambda listening: life.announce("serve", listening))


ROLES = {"ingest": ingest, "process": process, "tend": tend, "serve": serve}


async def _first(task: asyncio.Task[None], other: Any) -> None:
    waiting = asyncio.ensure_future(other)  # noqa: TID251 - ended by the event it waits for
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)


async def _keep_log(parts: wiring.IngestParts) -> None:
    while True:
        await asyncio.sleep(KEEP_LOG_EVERY_S)
        await parts.keep_log()


def _pump(
    settings: Settings, health: wiring.RoleHealth, started: threading.Event, over: threading.Event
) -> None:
    try:
        with wiring.pump(settings, health) as pump:
            pump.start()
            started.set()
            pump.run(over)
    finally:
        started.set()


def _tend(settings: Settings, over: threading.Event) -> None:
    with wiring.tend(settings) as keeper:
        keeper.run(over)
