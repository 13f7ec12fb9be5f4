"""Health and metrics of a role, on the port that belongs to it.

Source: D-57.
"""

import asyncio
from collections.abc import Callable

import structlog

from millrace.errors import StopError
from millrace.serve.listening import serve_http
from millrace.serve.role_health import RoleHealth
from millrace.settings import Settings

PLACES = ("ingest", "process", "decode", "store", "tend", "alert", "command", "serve", "monitor")

_log = structlog.get_logger("millrace.health")


async def serve_health(
    health: RoleHealth,
    settings: Settings,
    role: str,
    *,
    over: asyncio.Event,
    ready: Callable[[str], None],
) -> None:
    """Serve `/healthz`, `/readyz` and `/metrics` until `over`.

    The port is `monitor.base_port` plus the place of the role; where another instance has it
    already, any free one, which is said.
    """
    host, base = settings.monitor.host, settings.monitor.base_port
    port = base + PLACES.index(role) if base else 0
    try:
        await serve_http(health, host, port, over=over, ready=ready)
    except StopError as error:
        if over.is_set() or not port:
            raise
        _log.warning("health_port_taken", port=port, error=str(error))
        await serve_http(health, host, 0, over=over, ready=ready)
