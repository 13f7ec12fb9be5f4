"""The application: ports in, FastAPI out. Nothing global; two applications never meet.

The background work (following the ledger, probing) is `background`; `serve_http` runs it beside the
server, tests run it beside a client.
"""

import asyncio
from typing import Any

import structlog
from fastapi import FastAPI

from millrace.errors import RetryError
from millrace.serve import problems
from millrace.serve.cursors import Cursors
from millrace.serve.deps import ServeDeps
from millrace.serve.desk import Desk
from millrace.serve.directory import SeriesDirectory
from millrace.serve.gate import Gate
from millrace.serve.health import Health
from millrace.serve.latest_keys import KeySources, LatestKeys
from millrace.serve.live_feed import Feed
from millrace.serve.live_hub import LiveHub
from millrace.serve.page import add_page
from millrace.serve.problems import Problem
from millrace.serve.room import Room
from millrace.serve.routes import ALL, Route
from millrace.serve.routes.live import SOCKET_PATH, live
from millrace.serve.tickets import Tickets

REFRESH_S = 0.2
# Exports wait for each other, and each part of one may sort a million readings.
EXPORT_DEADLINE_S = 30.0
_PROBLEM: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem (RFC 9457)",
        "content": {"application/problem+json": {"schema": {"type": "object"}}},
    }
}


def create_app(deps: ServeDeps) -> FastAPI:
    """Return the application; nothing runs until `background` does."""
    app = FastAPI(
        title="Millrace",
        version=deps.version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.room = furnish(deps)
    problems.install(app)
    for route in ALL:
        _add(app, route)
    app.add_api_websocket_route(SOCKET_PATH, live)
    add_page(app)
    app.add_middleware(
        Gate,
        router=app.router,
        metrics=deps.metrics.serve,
        cors_origins=deps.cors_origins,
        is_open=deps.auth == "open",
    )
    return app


def furnish(deps: ServeDeps) -> Room:
    """Return the room: desks, directory, hub and what else handlers share."""
    durations = deps.metrics.serve.query_duration
    series_desk = Desk("series", deps.query_deadline_s, durations)
    registry_desk = Desk("registry", deps.query_deadline_s, durations)
    rows_desk = Desk("rows", deps.query_deadline_s)
    export_desk = Desk("export", EXPORT_DEADLINE_S, durations)
    directory = SeriesDirectory(deps.rows, rows_desk, deps.registry, registry_desk)
    feed = Feed(deps.hot, deps.live, deps.clock)
    hub = LiveHub(feed, deps.rows, desk=rows_desk, directory=directory)
    return Room(
        deps=deps,
        series_desk=series_desk,
        registry_desk=registry_desk,
        rows_desk=rows_desk,
        export_desk=export_desk,
        directory=directory,
        hub=hub,
        keys=_keys(deps, rows_desk, feed),
        health=Health(deps.probes, deps.metrics),
        tickets=Tickets(deps.clock),
        cursors=Cursors(deps.cursor_key, deps.clock),
    )


def _keys(deps: ServeDeps, desk: Desk, feed: Feed) -> LatestKeys | None:
    if deps.cache is None:
        return None
    sources = KeySources(deps.hot, deps.rows, deps.accounts)
    return LatestKeys(sources, desk, feed, cache=deps.cache, clock=deps.clock)


async def background(app: FastAPI) -> None:
    """Do what goes on between requests, for ever; clean up when cancelled."""
    room: Room = app.state.room
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(room.health.run())
            tasks.create_task(room.hub.run(room.series.refresh, room.series_desk))
            tasks.create_task(_keep_fresh(room))
            if room.keys is not None:
                tasks.create_task(room.keys.run())
    finally:
        room.health.close()
        if room.keys is not None:
            room.keys.close()
        for desk in (room.series_desk, room.registry_desk, room.rows_desk, room.export_desk):
            desk.close()


async def _keep_fresh(room: Room) -> None:
    """Let the query engine take in commits in small portions, not at the next question."""
    while True:
        await asyncio.sleep(REFRESH_S)
        if not room.series_desk.is_idle:
            continue
        try:
            await room.series_desk.ask("get", room.series.refresh)
        except (Problem, RetryError) as error:
            structlog.get_logger().warning("refresh_failed", error=str(error))


def _add(app: FastAPI, route: Route) -> None:
    extra = None
    if route.body is not None:
        schema = route.body.model_json_schema(ref_template="#/components/schemas/{model}")
        content = {"application/json": {"schema": schema}}
        extra = {"requestBody": {"required": True, "content": content}}
    app.add_api_route(
        route.path,
        route.handler,
        methods=[route.method],
        summary=route.summary,
        tags=[route.promise],
        responses=_PROBLEM,
        response_model=None,
        include_in_schema=route.is_documented,
        openapi_extra=extra,
    )
