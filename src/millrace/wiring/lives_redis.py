"""Settings to Redis: where it is, and a link for each of its uses.

Imported only where `live.url` names Redis, because its client is an extra.
Source: SNS-063, REG-115.
"""

import os
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote, urlsplit

from millrace.adapters.clock_system import SystemClock
from millrace.adapters.fleet_cached import Lifetimes
from millrace.adapters.live_redis import RedisLink, RedisTarget
from millrace.errors import UsageError
from millrace.settings import Settings
from millrace.wiring.urls import address_of, scheme_of, without_secret

DEFAULT_PORT: Final = 6379


def link(settings: Settings, failed: Callable[[], None], *, is_quiet: bool = False) -> RedisLink:
    """Return a link; nothing is connected yet. See `RedisLink` for what is handed on."""
    return RedisLink(
        target(settings),
        SystemClock(),
        key_prefix=settings.live.key_prefix,
        failed=failed,
        is_quiet=is_quiet,
    )


def lifetimes(settings: Settings) -> Lifetimes:
    """Return how long what is known of the registry is kept."""
    chosen = settings.live
    return Lifetimes(
        points_s=chosen.points_ttl_s,
        controller_s=chosen.controller_ttl_s,
        mapping_s=chosen.mapping_ttl_s,
        metadata_s=chosen.metadata_ttl_s,
        absent_s=chosen.absent_ttl_s,
    )


def target(settings: Settings) -> RedisTarget:
    """Return where Redis is.

    Raises:
        UsageError: The URL or the file of the password is wrong.
    """
    chosen = settings.live
    parts = urlsplit(chosen.url)
    without_secret("live.url", chosen.url, "write it into live.password_file")
    if parts.path not in ("", "/", "/0") or parts.query:
        raise UsageError(
            "live.url names a database or options; all keys live in database 0",
            "write redis://HOST:PORT, and set live.key_prefix to keep installations apart",
        )
    if chosen.tls_ca is not None and not os.access(chosen.tls_ca, os.R_OK):
        raise UsageError(f"live.tls_ca: {chosen.tls_ca} cannot be read")
    host, port = address_of(chosen.url, setting="live.url", default_port=DEFAULT_PORT)
    return RedisTarget(
        host,
        port,
        username=unquote(parts.username) if parts.username else None,
        password=_password(settings),
        is_tls=scheme_of(chosen.url) == "rediss",
        tls_ca=chosen.tls_ca,
        timeout_s=chosen.timeout_s,
    )


def _password(settings: Settings) -> str | None:
    path = settings.live.password_file
    if path is None:
        return None
    try:
        return path.read_text().strip()
    except OSError as error:
        raise UsageError(f"live.password_file: {path}: {error.strerror}") from error
