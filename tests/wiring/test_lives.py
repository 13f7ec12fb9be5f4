"""`live.url` chosen by its scheme, or refused with a remedy."""

from pathlib import Path

import pytest

from millrace.adapters.cache_memory import MemoryCache
from millrace.adapters.live_memory import MemoryLive
from millrace.adapters.live_redis import RedisCache, RedisLive
from millrace.errors import UsageError
from millrace.settings import Settings
from millrace.wiring import lives
from millrace.wiring.lives_redis import target
from tests.servers.ports import free_port


def settings_of(tmp_path: Path, **live: object) -> Settings:
    return Settings.model_validate({"data": tmp_path / "data", "live": live})


def ignore() -> None:
    return


def test_memory_needs_nothing(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    lives.check(settings)
    assert isinstance(lives.open_live(settings, "one", ignore), MemoryLive)
    assert isinstance(lives.open_cache(settings, ignore), MemoryCache)


def test_redis_is_opened_without_being_there(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, url=f"redis://127.0.0.1:{free_port()}")
    lives.check(settings)
    live, cache = lives.open_live(settings, "one", ignore), lives.open_cache(settings, ignore)
    assert isinstance(live, RedisLive)
    assert isinstance(cache, RedisCache)
    live.close()
    cache.close()


def test_all_of_the_address_is_used(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(" open sesame\n")
    ca = tmp_path / "ca.pem"
    ca.touch()
    settings = settings_of(
        tmp_path, url="rediss://iot%40site@cache.example:7000/0", password_file=secret, tls_ca=ca
    )
    found = target(settings)
    assert (found.host, found.port, found.username) == ("cache.example", 7000, "iot@site")
    assert "sesame" not in repr(found)
    assert (found.password, found.is_tls, found.tls_ca) == ("open sesame", True, ca)


@pytest.mark.parametrize(
    ("live", "words"),
    [
        ({"url": "memcached://x"}, "scheme"),
        ({"url": "redis://me:secret@x"}, "password"),
        ({"url": "redis://x/3"}, "database 0"),
        ({"url": "redis://x?ssl=1"}, "options"),
        ({"url": "redis://"}, "HOST:PORT"),
        ({"url": "redis://x", "password_file": "/nowhere"}, "No such file"),
        ({"url": "rediss://x", "tls_ca": "/nowhere"}, "cannot be read"),
    ],
)
def test_f49_what_cannot_work_is_refused(
    tmp_path: Path, live: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        lives.check(settings_of(tmp_path, **live))
