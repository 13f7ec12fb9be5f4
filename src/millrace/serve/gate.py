"""The gate: what holds for every request, whatever its route.

Request ids, size limits, security headers, HEAD and OPTIONS, cross-origin rules and metrics. It is
plain ASGI, so that streams pass through it piece by piece.
Source: API-004, API-007, API-008, API-018, MON-160 to MON-162; attacks A25, A34, A36, A38.
"""

import re
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import Match, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from millrace.observe.metrics import METHODS, ServeMetrics, allowed
from millrace.serve.problems import Problem, problem_response

MAX_PATH_BYTES = 2 * 1024
MAX_QUERY_BYTES = 8 * 1024
MAX_HEADER_BYTES = 16 * 1024
MAX_BODY_BYTES = 1024 * 1024

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_PREFLIGHT_S = "600"
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Gate:
    """Wraps the application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        router: Router,
        metrics: ServeMetrics,
        cors_origins: Iterable[str],
        is_open: bool,
    ) -> None:
        self._app = app
        self._router = router
        self._metrics = metrics
        self._cors_origins = frozenset(cors_origins)
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passage = _Passage(scope, receive, send, self._metrics)
        passage.allow_origin(self._cors_origins)
        try:
            await self._pass(scope, passage)
        except Problem as problem:
            await passage.refuse(problem)
        except Exception:
            # Total by intent: what nobody expected must still become an answer, and a log line.
            structlog.get_logger().exception(
                "request_crashed", path=scope["path"], request_id=passage.request_id
            )
            if passage.is_begun:
                raise
            await passage.refuse(Problem("internal", "An unexpected error occurred"))
        finally:
            passage.count()

    async def _pass(self, scope: Scope, passage: "_Passage") -> None:
        check_sizes(scope)
        if self._is_open:
            check_host(Headers(scope=scope).get("host", ""))
        if scope["method"] == "OPTIONS":
            await self._options(scope, passage)
            return
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
        await self._app(scope, passage.receive, passage.send)

    async def _options(self, scope: Scope, passage: "_Passage") -> None:
        methods: set[str] = set()
        for route in self._router.routes:
            match, _child = route.matches({**scope, "method": "GET"})
            if match is not Match.NONE:
                methods |= set(getattr(route, "methods", None) or {"GET"})
        if not methods:
            raise Problem("not_found", "Not found")
        if "GET" in methods:
            methods.add("HEAD")
        allow = ", ".join(sorted(methods | {"OPTIONS"}))
        response = Response(status_code=204, headers={"Allow": allow})
        if passage.origin_is_allowed:
            response.headers["Access-Control-Allow-Methods"] = allow
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            response.headers["Access-Control-Max-Age"] = _PREFLIGHT_S
        await response(scope, passage.receive, passage.send)


class _Passage:
    """One request on its way through."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, metrics: ServeMetrics) -> None:
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        self.request_id = asked if _REQUEST_ID.fullmatch(asked) else secrets.token_hex(8)
        scope["request_id"] = self.request_id
        self.is_begun = False
        self.origin_is_allowed = False
        self._scope = scope
        self._receive = receive
        self._send = send
        self._metrics = metrics
        self._origin = headers.get("origin", "")
        self._method = scope["method"]
        scope["is_head"] = self._method == "HEAD"
        self._path = scope["path"]
        self._body_bytes = 0
        self._status = 500
        self._begun_s = time.perf_counter()
        metrics.in_flight.inc()

    def allow_origin(self, origins: frozenset[str]) -> None:
        """Note whether a page of another origin may read the answer (API-008)."""
        self.origin_is_allowed = bool(self._origin) and (self._origin in origins or "*" in origins)

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._body_bytes += len(message.get("body", b""))
            if self._body_bytes > MAX_BODY_BYTES:
                raise _too_large()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_begun = True
            self._status = message["status"]
            self._add_headers(MutableHeaders(scope=message))
        elif message["type"] == "http.response.body" and self._method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem."""
        response = problem_response(problem, path=self._path, request_id=self.request_id)
        with suppress(OSError):
            await response(self._scope, self._receive, self.send)

    def count(self) -> None:
        """Count the request, under the template of its route (MON-022: never its path)."""
        self._metrics.in_flight.dec()
        route = getattr(self._scope.get("route"), "path", "unmatched")
        if route == "/metrics":
            return
        labels = (allowed(self._method, METHODS), route, str(self._status))
        self._metrics.requests.labels(*labels).inc()
        self._metrics.request_duration.labels(*labels).observe(time.perf_counter() - self._begun_s)

    def _add_headers(self, headers: MutableHeaders) -> None:
        headers["X-Request-Id"] = self.request_id
        for name, value in _SECURITY.items():
            headers[name] = value
        headers.setdefault("Content-Security-Policy", API_POLICY)
        headers.setdefault("Cache-Control", "no-store")
        if self.origin_is_allowed:
            headers["Access-Control-Allow-Origin"] = self._origin
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            headers.add_vary_header("Origin")


def check_host(host: str) -> None:
    """Refuse requests that name another machine than this one.

    Without credentials the browser's same-origin rule is all that keeps foreign pages out, and a
    page whose name is made to resolve to loopback (DNS rebinding) would pass it.
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if name not in LOOPBACK_NAMES:
        raise Problem("forbidden", "The API is open to this machine only; use 127.0.0.1")


def check_sizes(scope: Scope) -> None:
    """Refuse what is too long before anything reads it (API-018). Raises: Problem."""
    raw_path = scope.get("raw_path") or scope["path"].encode()
    if len(raw_path) > MAX_PATH_BYTES or len(scope["query_string"]) > MAX_QUERY_BYTES:
        raise Problem("uri_too_long", "The path or the query is too long")
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
        raise Problem("body_too_large", "The headers are too large")
    declared = [value for name, value in scope["headers"] if name == b"content-length"]
    if declared and (not declared[0].isdigit() or int(declared[0]) > MAX_BODY_BYTES):
        raise _too_large()


def _too_large() -> Problem:
    return Problem(
        "body_too_large", "The body is larger than 1 MiB", headers={"Connection": "close"}
    )
