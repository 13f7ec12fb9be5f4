"""The way out: queries over hot and sealed readings, the registry, the live feed, API and page."""

import asyncio
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from millrace import __version__
from millrace.adapters.clock_system import SystemClock
from millrace.errors import RetryError
from millrace.flow.balance import balance
from millrace.observe import Metrics
from millrace.ports.log import LogReader
from millrace.serve.app import create_app
from millrace.serve.deps import Preview, Probe, ServeDeps
from millrace.serve.export_job import ExportJob, ExportRequest
from millrace.serve.server import serve_app
from millrace.settings import Settings
from millrace.wiring import lives, places
from millrace.wiring.histories import open_query
from millrace.wiring.logs import durability, open_log_reader
from millrace.wiring.stores import open_store
from millrace.wiring.urls import address_of

PROBE_TIMEOUT_S = 2.0
CURSOR_KEY_BYTES = 32


async def serve_everything(
    settings: Settings, *, over: asyncio.Event, ready: Callable[[str], None]
) -> None:
    """Serve API, WebSocket and page until `over`."""
    host, port = address_of(settings.api.listen, setting="api.listen")
    with open_deps(settings) as deps:
        await serve_app(create_app(deps), host, port, over=over, ready=ready)


@contextmanager
def open_deps(settings: Settings) -> Iterator[ServeDeps]:
    """Open everything that serve asks."""
    with ExitStack() as stack:
        metrics = Metrics(["serve"], version=__version__)
        failed = metrics.cache_requests.labels("error").inc
        store = stack.enter_context(open_store(settings))
        accounts = store.accounts()
        name = accounts.read().store_name
        query = stack.enter_context(open_query(settings))
        yield ServeDeps(
            series=query,
            registry=store.registry(),
            hot=store.hot(),
            rows=store.live_rows(),
            live=stack.enter_context(closing(lives.open_live(settings, name, failed))),
            cache=stack.enter_context(closing(lives.open_cache(settings, failed))),
            accounts=accounts,
            preview=_preview(settings, stack),
            metrics=metrics,
            clock=SystemClock(),
            probes=stack.enter_context(_probes(settings, failed)),
            version=__version__,
            durability=durability(settings),
            cors_origins=tuple(settings.api.cors_origins),
            cursor_key=_cursor_key(settings.data / "secrets" / "cursor.key"),
        )


def _preview(settings: Settings, stack: ExitStack) -> Preview:
    """Return the preview of messages; the first who asks waits until what it needs is loaded."""

    @cache
    def opened() -> Callable[..., dict[str, Any]]:
        from millrace.wiring.previews import open_preview

        return stack.enter_context(open_preview(settings)).preview

    def preview(topic: str, payload: bytes, at_ns: int, retain: bool) -> dict[str, Any]:  # noqa: FBT001 - the signature is serve's
        return opened()(topic, payload, at_ns=at_ns, retain=retain)

    return preview


@contextmanager
def open_export(settings: Settings, request: ExportRequest) -> Iterator[ExportJob]:
    """Open one export."""
    with ExitStack() as stack:
        registry = stack.enter_context(open_store(settings)).registry()
        query = stack.enter_context(open_query(settings))
        yield ExportJob(query, registry, request, now_ns=SystemClock.now_ns())


@contextmanager
def _probes(settings: Settings, failed: Callable[[], None]) -> Iterator[Mapping[str, Probe]]:
    """Open what the probes ask; they run side by side, so each has connections of its own."""
    with ExitStack() as stack:
        store = stack.enter_context(open_store(settings))

        def log() -> LogReader:
            return stack.enter_context(closing(open_log_reader(settings)))

        probes: dict[str, Probe] = {
            "log": partial(_read, log().extents),
            "points": partial(_read, partial(balance, log(), store.accounts())),
            "metadata": partial(_read, store.accounts().read),
        }
        if lives.is_redis(settings):
            probes["cache"] = stack.enter_context(lives.open_probe(settings, failed))
        address = places.broker_address(places.broker_urls(settings)[0])
        if address.port:
            probes["mqtt"] = partial(_connect, address.host, address.port)
        yield probes


def _read(question: Callable[[], object]) -> None:
    question()


def _connect(host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), PROBE_TIMEOUT_S).close()
    except OSError as error:
        raise RetryError(f"nobody answers on {host}:{port}: {error}") from error


def _cursor_key(path: Path) -> bytes:
    """Return the key that signs page cursors; made once, readable by the owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = path.read_bytes() if path.exists() else b""
    if len(key) != CURSOR_KEY_BYTES:
        # Written beside and renamed: a power cut must not leave an empty key, which signs nothing.
        key = secrets.token_bytes(CURSOR_KEY_BYTES)
        made = path.with_suffix(".new")
        made.unlink(missing_ok=True)
        made.touch(mode=0o600)
        made.write_bytes(key)
        made.replace(path)
    return key
