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
from tests.servers.certificates import issue
from tests.servers.ports import free_port
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


def test_tls_is_spoken_and_the_server_must_be_who_it_says(tmp_path: Path) -> None:
    for name, issuer in (("authority", None), ("server", "authority"), ("stranger", None)):
        issue(tmp_path, name, issuer)
    port = free_port()
    words = (
        "--tls-port", str(port), "--tls-auth-clients", "no",
        "--tls-cert-file", str(tmp_path / "server.pem"),
        "--tls-key-file", str(tmp_path / "server.key"),
        "--tls-ca-cert-file", str(tmp_path / "authority.pem"),
    )  # fmt: skip
    with running_redis(tmp_path, words=words):
        for ca, is_right in (("authority", True), ("stranger", False)):
            target = RedisTarget(
                "127.0.0.1", port, is_tls=True, tls_ca=tmp_path / f"{ca}.pem", timeout_s=2
            )
            link = RedisLink(target, SystemClock())
            if is_right:
                link.probe()
            else:
                with pytest.raises(RetryError, match=r"(?i)certificate"):
                    link.probe()
            link.close()


def test_f29_a_long_failure_is_followed_by_a_longer_rest(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        target = RedisTarget("127.0.0.1", server.port, timeout_s=0.4)
        link = RedisLink(target, SystemClock())
        server.sleep(1.2)
        begun = time.monotonic()
        attempts = 0
        while time.monotonic() - begun < 3.0:
            attempts += 1
            with pytest.raises(RetryError):
                link.probe()
            time.sleep(0.05)
        assert attempts > 30  # it waited once, and then failed at once
        link.close()


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
