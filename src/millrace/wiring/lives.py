"""What `live.url` names: the ring of serve, the documented keys, the cache of the registry.

Every scheme works with all other URLs, `memory://` too: each serve process follows the ledger by
itself, so separate hosts need no Redis. It spares the database their polling and their look-ups.
Source: architecture.md 3, D-57, SNS-063, SNS-064, REG-118.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Final

from millrace.adapters.cache_memory import MemoryCache
from millrace.adapters.clock_system import SystemClock
from millrace.adapters.live_memory import MemoryLive
from millrace.errors import RetryError, StopError, UsageError
from millrace.observe import Metrics
from millrace.observe.urls import shown
from millrace.ports.cache import Cache
from millrace.ports.fleet import Fleet
from millrace.ports.live import Live
from millrace.settings import Settings
from millrace.wiring.store_system import Store
from millrace.wiring.urls import known

SCHEMES: Final = ("memory", "redis", "rediss")

Failed = Callable[[], None]


def check(settings: Settings) -> None:
    """Look at the URL and its files without opening anything.

    Raises:
        UsageError: Nothing can be opened with it.
    """
    if not is_redis(settings):
        return
    if find_spec("redis") is None:
        raise UsageError(
            "live.url names Redis, and its client is not installed",
            "install it: pip install 'millrace[redis]'",
        )
    from millrace.wiring.lives_redis import target

    target(settings)


def is_redis(settings: Settings) -> bool:
    """Return whether processes share a Redis. Raises: UsageError, the scheme is not known."""
    return known("live.url", settings.live.url, *SCHEMES) != "memory"


def open_live(settings: Settings, store_name: str, failed: Failed) -> Live:
    """Open the ring of a store; `failed` is told of every command that Redis does not carry out.

    A store that was emptied counts its commits from 1 again, and has another name.
    """
    if not is_redis(settings):
        return MemoryLive()
    from millrace.adapters.live_redis import RedisLive
    from millrace.wiring.lives_redis import link

    return RedisLive(link(settings, failed), store_name)


def open_cache(settings: Settings, failed: Failed) -> Cache:
    """Open the documented keys; `failed` as above."""
    if not is_redis(settings):
        return MemoryCache(SystemClock())
    from millrace.adapters.live_redis import RedisCache
    from millrace.wiring.lives_redis import link

    return RedisCache(link(settings, failed))


@contextmanager
def open_fleet(settings: Settings, store: Store, metrics: Metrics) -> Iterator[Fleet]:
    """Open the fleet of a store, behind the shared cache of look-ups where there is one."""
    if not is_redis(settings):
        yield store.fleet()
        return
    from millrace.adapters.fleet_cached import CachedFleet, SharedLevel
    from millrace.adapters.live_redis import RedisBulletin, RedisCache
    from millrace.wiring.lives_redis import lifetimes, link

    failed = metrics.cache_requests.labels("error").inc
    with ExitStack() as stack:
        cache = stack.enter_context(closing(RedisCache(link(settings, failed))))
        news = stack.enter_context(closing(RedisBulletin(link(settings, failed))))
        yield CachedFleet(
            store.fleet(),
            SharedLevel(cache, news, store.accounts().read().store_name),
            clock=SystemClock(),
            lifetimes=lifetimes(settings),
            counted=partial(_count, metrics),
        )


def _count(metrics: Metrics, result: str, count: int) -> None:
    metrics.core.lookups.labels("f2", result).inc(count)
    metrics.cache_requests.labels("miss" if result == "miss" else "hit").inc(count)


@contextmanager
def open_probe(settings: Settings, failed: Failed) -> Iterator[Callable[[], None]]:
    """Open what asks whether Redis writes and reads; `live.url` must name one."""
    from millrace.wiring.lives_redis import link

    with closing(link(settings, failed)) as opened:
        yield opened.probe


def examine(settings: Settings) -> str:
    """Return how Redis is, after asking it.

    Raises:
        StopError: It does not answer; the remedy says what can be done.
    """
    if not is_redis(settings):
        return "nothing outside; it is in the memory of each process"
    from millrace.wiring.lives_redis import link

    with closing(link(settings, lambda: None, is_quiet=True)) as opened:
        try:
            opened.probe()
        except RetryError as error:
            raise StopError(
                str(error),
                "start Redis, or correct live.url and live.password_file; nothing is lost without"
                " it, and the database has more to do",
            ) from error
    return f"{shown(settings.live.url)} writes and reads"
