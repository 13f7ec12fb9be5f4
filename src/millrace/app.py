"""Start, run and drain roles; embeddable, so tests start them in their own loop.

A role is a coroutine that runs until its life is over. What it is made of comes from `wiring`, and
is imported when the role runs, so a process carries only what it needs. Blocking work (the pump,
the keeper) has a thread of its own, which owns its connections.
Source: architecture.md 3, D-01, D-57, reliability.md F51.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from importlib import import_module
from typing import Any

from millrace.errors import RetryError, StopError
from millrace.flow.life import Life
from millrace.settings import Settings

KEEP_LOG_EVERY_S = 30.0

# The modules of `wiring` that a role imports when it runs. Those of `tend` can wait: nothing is
# due at once, and others are.
_PARTS = {"ingest": ("edge", "health"), "process": ("inner", "health"), "serve": ("out",)}


def load_parts(roles: Iterable[str]) -> None:
    """Import what roles are made of, so that they start sooner when they may."""
    for role in roles:
        for name in _PARTS.get(role, ()):
            import_module(f"millrace.wiring.{name}")


async def run(settings: Settings, roles: Iterable[str], life: Life) -> None:
    """Run roles in this process until their life is over; each starts after the one before.

    Raises:
        StopError: A role cannot start, or must not go on.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for name in roles:
                started = asyncio.Event()
                group.create_task(_lived(ROLES[name](settings, life, started), life, started))
                await started.wait()
    except* StopError as errors:
        raise _first(errors) from None


async def _lived(role: Coroutine[Any, Any, None], life: Life, started: asyncio.Event) -> None:
    try:
        await role
    finally:
        life.end()
        started.set()


def _first(errors: BaseExceptionGroup[StopError]) -> StopError:
    found = errors.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


async def ingest(settings: Settings, life: Life, started: asyncio.Event) -> None:
    """The way in: broker, log, and the care of the log."""
    from millrace.wiring.edge import EdgeParts, open_edge  # noqa: PLC0415 - see the module
    from millrace.wiring.health import serve_health  # noqa: PLC0415

    async def keep_log(parts: EdgeParts) -> None:
        while True:
            await asyncio.sleep(KEEP_LOG_EVERY_S)
            await parts.keep_log()

    with open_edge(settings) as parts:
        for link in parts.links:
            await link.broker.start()

        def ready(address: str) -> None:
            life.announce(
                "ingest", {**parts.listening, "ingest metrics": f"http://{address}/metrics"}
            )
            started.set()

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(worker.run()) for worker in parts.workers]
            tasks.append(group.create_task(keep_log(parts)))
            await serve_health(parts.health(), settings, "ingest", over=life.over, ready=ready)
            for link in parts.links:
                await link.broker.close()
            for task in tasks:
                task.cancel()


async def process(settings: Settings, life: Life, started: asyncio.Event) -> None:
    """The middle: the pump in its thread."""
    await _pumping(settings, life, started, "process")


async def decode(settings: Settings, life: Life, started: asyncio.Event) -> None:
    """Decoding for consumers of others: a pump with codecs and no store of readings."""
    await _pumping(settings, life, started, "decode")


async def _pumping(settings: Settings, life: Life, started: asyncio.Event, role: str) -> None:
    """Run a role whose work is a pump."""
    from millrace.wiring import inner  # noqa: PLC0415 - see the module
    from millrace.wiring.health import serve_health  # noqa: PLC0415
    from millrace.wiring.logs import log_is_there  # noqa: PLC0415

    await log_is_there(settings, life.over)
    metrics, pumping = inner.core_metrics(), asyncio.Event()
    life.core_metrics = metrics
    loop = asyncio.get_running_loop()

    def pump() -> None:
        inner.run_pump(
            settings,
            role,
            metrics,
            life.over_in_threads,
            ready=lambda: loop.call_soon_threadsafe(pumping.set),
        )

    def check() -> None:
        if not pumping.is_set():
            raise RetryError("the pump has not started")

    async def announce(address: str) -> None:
        # A pump that cannot start must count as a process that cannot start.
        await pumping.wait()
        life.announce(role, {f"{role} metrics": f"http://{address}/metrics"})
        started.set()

    def ready(address: str) -> None:
        group.create_task(announce(address))

    with inner.open_health(settings, metrics, check, role) as health:
        async with asyncio.TaskGroup() as group:
            group.create_task(_ending(asyncio.to_thread(pump), life))
            await serve_health(health, settings, role, over=life.over, ready=ready)


async def tend(settings: Settings, life: Life, started: asyncio.Event) -> None:
    """The keeper of history: seal, compact, archive, retire."""
    from millrace.wiring.health import serve_health  # noqa: PLC0415 - see the module
    from millrace.wiring.keeping import (  # noqa: PLC0415
        keeper_health,
        keeper_lanes,
        keeper_metrics,
    )
    from millrace.wiring.logs import log_is_there  # noqa: PLC0415

    await log_is_there(settings, life.over)
    if life.core_metrics is not None:  # the role beside it in this process tells how that is
        life.announce("tend", {})
        started.set()
        lanes = keeper_lanes(settings, life.core_metrics)
        await asyncio.to_thread(lanes.run, life.over_in_threads)
        return
    metrics = keeper_metrics()
    lanes = keeper_lanes(settings, metrics)

    def ready(address: str) -> None:
        life.announce("tend", {"tend metrics": f"http://{address}/metrics"})
        started.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(_ending(asyncio.to_thread(lanes.run, life.over_in_threads), life))
        health = keeper_health(lanes, metrics)
        await serve_health(health, settings, "tend", over=life.over, ready=ready)


async def serve(settings: Settings, life: Life, started: asyncio.Event) -> None:
    """The way out: API, WebSocket, page."""
    from millrace.wiring.logs import log_is_there  # noqa: PLC0415
    from millrace.wiring.out import serve_everything  # noqa: PLC0415 - see the module

    await log_is_there(settings, life.over)

    def ready(address: str) -> None:
        life.announce("serve", {"page and API": f"http://{address}/"})
        started.set()

    await serve_everything(settings, over=life.over, ready=ready)


ROLES = {"ingest": ingest, "process": process, "decode": decode, "tend": tend, "serve": serve}


async def _ending(work: Coroutine[Any, Any, None], life: Life) -> None:
    """Run work whose end, good or bad, ends the life."""
    try:
        await work
    finally:
        life.end()
