"""The documented keys: what is written, how long it lives, and how it comes back (SNS-060)."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from millrace.adapters.cache_memory import MemoryCache
from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.live_memory import MemoryLive
from millrace.adapters.live_redis import RedisCache, RedisLink, RedisTarget
from millrace.ports.accounts import Account
from millrace.ports.cache import Cache
from millrace.serve.desk import Desk
from millrace.serve.latest_keys import COUNT_EVERY_S, VALUE_TTL_S, KeySources, LatestKeys
from millrace.serve.live_feed import Feed
from tests.serve.memory import MemoryHot, MemoryLiveRows, Town
from tests.servers.redis import RedisServer, running_redis

ALL = ["device:attic:humidity", "device:cellar:humidity", "dashboard:active_devices",
       "dashboard:total_alerts"]  # fmt: skip


class Books:
    """See `ports.accounts.Accounts`."""

    def read(self, reader: str = "process") -> Account:
        return Account({}, {}, online_devices=7, open_alerts=2)

    def needed(self) -> dict[int, int]:
        return {}

    def close(self) -> None:
        pass


class Rig:
    """Keys of a town in a cache."""

    def __init__(self, town: Town, clock: ManualClock, cache: Cache) -> None:
        self.town, self.clock, self.cache = town, clock, cache
        self.desk = Desk("rows", 5)
        self.feed = Feed(MemoryHot(town), MemoryLive(), clock)
        self.keys = self.made()

    def made(self) -> LatestKeys:
        sources = KeySources(MemoryHot(self.town), MemoryLiveRows(self.town), Books())
        return LatestKeys(sources, self.desk, self.feed, cache=self.cache, clock=self.clock)

    def say(self, device_id: str, metric: str, *values: float) -> None:
        series = self.town.series_id(device_id, metric)
        rows = [(series, 100 - place, value, 0, 0) for place, value in enumerate(values)]
        self.town.commit(rows, self.clock.now_ns())

    def close(self) -> None:
        self.keys.close()
        self.desk.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
async def rig(town: Town, clock: ManualClock) -> AsyncIterator[Rig]:
    rig = Rig(town, clock, MemoryCache(clock))
    yield rig
    rig.close()


async def test_sns_060_the_value_that_arrived_last_lives_five_minutes(rig: Rig) -> None:
    rig.say("attic", "humidity_percent", 40.5, 41.0)
    rig.say("attic", "temperature_celsius", 21.5)
    await rig.keys.run_once()
    assert rig.cache.get(ALL) == {
        "device:attic:humidity": b"41",
        "dashboard:active_devices": b"7",
        "dashboard:total_alerts": b"2",
    }
    rig.clock.advance(VALUE_TTL_S - 1)
    assert rig.cache.get(ALL) == {"device:attic:humidity": b"41"}
    rig.clock.advance(1)
    assert rig.cache.get(ALL) == {}


async def test_devices_that_come_later_are_followed_from_their_first_message(rig: Rig) -> None:
    rig.say("attic", "temperature_celsius", 21.5)
    await rig.keys.run_once()
    rig.say("cellar", "humidity_percent", 80.25)
    await rig.keys.run_once()
    assert rig.cache.get(ALL[:2]) == {"device:cellar:humidity": b"80.25"}


async def test_sns_064_a_process_that_begins_rebuilds_from_the_store(rig: Rig) -> None:
    rig.say("attic", "humidity_percent", 40)
    rig.clock.advance(200)
    rig.say("cellar", "humidity_percent", 80)
    rig.clock.advance(50)
    rig.cache.delete(ALL)
    other = rig.made()
    await other.run_once()
    assert set(rig.cache.get(ALL[:2])) == set(ALL[:2])
    rig.clock.advance(60)
    assert rig.cache.get(ALL[:2]) == {"device:cellar:humidity": b"80"}
    other.close()


async def test_who_does_not_lead_writes_nothing(rig: Rig) -> None:
    rig.say("attic", "humidity_percent", 40)
    rig.feed.is_leading = False
    await rig.keys.run_once()
    assert rig.cache.get(ALL) == {}
    rig.feed.is_leading = True
    await rig.keys.run_once()
    assert len(rig.cache.get(ALL)) == 3


@pytest.mark.services
@pytest.mark.parametrize("fault", ["flush", "restart"])
async def test_f29_keys_come_back_after_redis_lost_them(
    town: Town, clock: ManualClock, server: RedisServer, fault: str
) -> None:
    cache = RedisCache(RedisLink(RedisTarget("127.0.0.1", server.port), clock))
    rig = Rig(town, clock, cache)
    rig.say("attic", "humidity_percent", 40)
    await rig.keys.run_once()
    with server.client() as client:
        assert 290 < client.ttl("device:attic:humidity") <= 300
        assert client.get("dashboard:total_alerts") == b"2"
        assert 50 < client.ttl("dashboard:total_alerts") <= 60
        if fault == "flush":
            client.flushall()
    if fault == "restart":
        server.kill()
        rig.say("cellar", "humidity_percent", 80)
        await rig.keys.run_once()  # Redis is away: no error, no answer changes
        server.start()
    clock.advance(COUNT_EVERY_S)
    await rig.keys.run_once()
    wanted = set(ALL) - (set() if fault == "restart" else {ALL[1]})
    assert set(cache.get(ALL)) == wanted
    rig.close()
    cache.close()
