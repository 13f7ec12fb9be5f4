"""The cache in Redis keeps the contract; the prefix and the ways of losing it beyond it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from millrace.adapters.clock_system import SystemClock
from millrace.adapters.live_redis import RedisBulletin, RedisCache, RedisLink, RedisTarget
from millrace.errors import RetryError
from millrace.ports.cache import Entry
from tests.contracts.cache import CacheContract
from tests.servers.redis import RedisServer, running_redis

pytestmark = pytest.mark.services

SESAME = "open sesame"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def link_to(server: RedisServer, key_prefix: str = "", password: str | None = None) -> RedisLink:
    target = RedisTarget("127.0.0.1", server.port, password=password)
    return RedisLink(target, SystemClock(), key_prefix=key_prefix)


@pytest.fixture
def cache(server: RedisServer) -> Iterator[RedisCache]:
    with server.client() as client:
        client.flushall()
    cache = RedisCache(link_to(server))
    yield cache
    cache.close()


@pytest.fixture
def wait() -> Callable[[float], None]:
    return time.sleep  # the server has no clock that could be turned


class TestRedisCache(CacheContract):
    pass


def test_reg_115_the_prefix_stands_in_front_of_every_key(server: RedisServer) -> None:
    with server.client() as client:
        client.flushall()
        cache = RedisCache(link_to(server, "site-7:"))
        cache.put([Entry("a", b"1", 60)])
        assert client.keys() == [b"site-7:a"]
        assert cache.get(["a"]) == {"a": b"1"}
        cache.delete(["a"])
        assert client.keys() == []
        cache.close()


def test_f29_away_is_said_by_every_method(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        cache, bulletin = RedisCache(link_to(server)), RedisBulletin(link_to(server))
        assert bulletin.heard()
        server.kill()
        for question in (
            lambda: cache.get(["a"]),
            lambda: cache.put([Entry("a", b"1", 1)]),
            lambda: cache.delete(["a"]),
            lambda: bulletin.tell(b"{}"),
            bulletin.heard,
        ):
            with pytest.raises(RetryError):
                question()
        cache.close()
        bulletin.close()


def test_a_password_is_used_and_a_wrong_one_is_an_outage(tmp_path: Path) -> None:
    with running_redis(tmp_path, words=("--requirepass", SESAME)) as server:
        right, wrong = link_to(server, password=SESAME), link_to(server)
        right.probe()
        with pytest.raises(RetryError, match=r"[Aa]uthentication"):
            wrong.probe()
        right.close()
        wrong.close()


def test_news_reach_everybody_who_listens(server: RedisServer) -> None:
    one, two = RedisBulletin(link_to(server)), RedisBulletin(link_to(server))
    elsewhere = RedisBulletin(link_to(server, "other:"))
    everybody = (one, two, elsewhere)
    assert [each.heard() for each in everybody] == [True] * 3  # nothing is known of before
    time.sleep(0.05)
    assert [each.heard() for each in everybody] == [False] * 3
    one.tell(b'{"version": 2}')
    time.sleep(0.05)
    assert [each.heard() for each in everybody] == [True, True, False]
    assert not two.heard()
    for each in everybody:
        each.close()
