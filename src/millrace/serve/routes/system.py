"""The system itself: health, metrics, version, counts, and its own description.

Source: API-100, API-102, API-140 to API-144, MON-001 to MON-003, MON-011.
"""

from typing import Any

from fastapi import Request
from starlette.responses import Response

from millrace.model.work import Count
from millrace.serve.answers import json_answer, tagged
from millrace.serve.instants import format_instant
from millrace.serve.parameters import NoQuery
from millrace.serve.room import Here, Room
from millrace.serve.routes.route import Route

SERVICE = "millrace"
MICROSECOND_NS = 1000


def version_body(here: Room) -> dict[str, str]:
    """Return the members of API-102."""
    deps = here.deps
    return {"name": SERVICE, "version": deps.version, "mode": deps.mode, "auth": deps.auth}


async def get_version(request: Request, here: Here, _: NoQuery) -> Response:
    """Show name, version and mode."""
    return tagged(request, version_body(here))


async def get_alive(_: NoQuery) -> Response:
    """Show that the process runs; touches nothing."""
    return json_answer({"service": SERVICE, "status": "alive"})


async def get_ready(here: Here, _: NoQuery) -> Response:
    """Show whether every store answers."""
    checks = here.health.needed()
    is_ready = all(checks.values()) and here.hub.is_ready.is_set()
    status = "ready" if is_ready else "not ready"
    body = {"service": SERVICE, "status": status, "checks": checks}
    return json_answer(body, 200 if is_ready else 503)


async def get_health(here: Here, _: NoQuery) -> Response:
    """Show the verdict and what it rests on."""
    deps = here.deps
    verdict = here.health.verdict()
    now = format_instant(deps.clock.now_ns() // MICROSECOND_NS * MICROSECOND_NS)
    body: dict[str, Any] = {"service": SERVICE, "status": verdict, "timestamp": now}
    if deps.auth == "open":
        checks = here.health.checks()
        body |= {
            "overall_status": verdict,
            "version": deps.version,
            "mode": deps.mode,
            "containers": {"running": 0, "total": 0},
            "services": {"healthy": sum(checks.values()), "total": len(checks)},
            "durability": dict(deps.durability),
            "details": {
                "connectivity": _connectivity(here, checks),
                "containers": {},
                "messages": await _messages(here),
            },
        }
    return json_answer(body, 503 if verdict == "unhealthy" else 200)


def _connectivity(here: Room, checks: dict[str, bool]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, is_well in checks.items():
        last = here.health.findings[name][-1] if here.health.findings[name] else None
        found[name] = {
            "status": "healthy" if is_well else "unhealthy",
            "latency_ms": last.latency_ms if last else None,
        }
        if last and last.detail:
            found[name]["detail"] = last.detail
    return found


async def _messages(here: Room) -> dict[str, int] | None:
    if not here.health.checks().get("metadata", True):
        return None
    sums = {Count.STORED: 0, Count.DUPLICATE: 0, Count.DEAD_LETTER: 0}
    counters = await here.registry_desk.ask("get", here.registry.counters)
    for (outcome, _family, _detail), count in counters.items():
        sums[outcome] = sums.get(outcome, 0) + count
    return sums


async def get_metrics(request: Request, here: Here) -> Response:
    """Export the metrics of this process."""
    text, kind = here.deps.metrics.exposition(request.headers.get("accept", ""))
    return Response(text, media_type=None, headers={"Content-Type": kind})


async def get_stats(here: Here, _: NoQuery) -> Response:
    """Show how many devices there are."""
    counts = await here.rows_desk.ask("get", here.deps.rows.device_counts)
    by_status = [{"status": status, "count": counts[status]} for status in sorted(counts)]
    return json_answer(
        {
            "total_devices": sum(counts.values()),
            "device_by_status": by_status,
            "unacknowledged_alerts": 0,
        }
    )


async def get_openapi(request: Request, _: NoQuery) -> Response:
    """Describe the API."""
    return tagged(request, request.app.openapi())


ROUTES = (
    Route("GET", "/healthz", get_alive, "API-141", "Is the process alive"),
    Route("GET", "/readyz", get_ready, "API-141", "Is it ready for work"),
    Route("GET", "/health", get_health, "API-140", "Is all well"),
    Route("GET", "/metrics", get_metrics, "API-144", "Export metrics"),
    Route("GET", "/api/version", get_version, "API-102", "Show the version"),
    Route("GET", "/api/stats", get_stats, "API-100", "Count devices"),
    Route("GET", "/api/openapi.json", get_openapi, "API-004", "Describe the API",
          is_documented=False),
)  # fmt: skip
