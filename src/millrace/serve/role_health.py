"""Health and metrics of a role that serves nothing else: three routes, no framework.

Source: MON-002, MON-003, MON-011, D-57.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from millrace.errors import MillraceError, RetryError
from millrace.observe import Metrics

Check = Callable[[], None]
Scope = Mapping[str, Any]


class RoleHealth:
    """An ASGI application with `/healthz`, `/readyz` and `/metrics`.

    A check returns when all is well and raises an error of ours when it is not; `before_scrape`
    brings gauges up to date that cost nothing to read.
    """

    def __init__(
        self,
        metrics: Metrics,
        checks: Mapping[str, Check],
        *,
        before_scrape: Callable[[], None] = lambda: None,
        waits_outside: bool = False,
    ) -> None:
        self._metrics = metrics
        self._checks = checks
        self._before_scrape = before_scrape
        self._waits_outside = waits_outside
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if self._waits_outside and scope["path"] != "/healthz":
            async with self._turn:
                status, body, kind = await asyncio.to_thread(self._answer, scope)
        else:
            status, body, kind = self._answer(scope)
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, scope: Scope) -> tuple[int, bytes, str]:
        path = scope["path"]
        if path == "/healthz":
            return 200, _json({"service": "millrace", "status": "alive"}), "application/json"
        if path == "/readyz":
            checks = self._checked()
            is_ready = all(checks.values())
            answer = {
                "service": "millrace",
                "status": "ready" if is_ready else "not ready",
                "checks": checks,
            }
            return 200 if is_ready else 503, _json(answer), "application/json"
        if path == "/metrics":
            # What is away is not shown as of now; what is known still is.
            with suppress(RetryError):
                self._before_scrape()
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            return 200, *self._metrics.exposition(accept)
        problem = {"type": "urn:millrace:problem:not_found", "title": "Not found", "status": 404}
        return 404, _json(problem), "application/problem+json"

    def _checked(self) -> dict[str, bool]:
        results = {}
        for name, check in self._checks.items():
            try:
                check()
            except MillraceError:
                results[name] = False
            else:
                results[name] = True
        return results


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
