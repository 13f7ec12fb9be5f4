"""The cached fleet keeps the contract, cold and warm; floors, news and faults beyond it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from millrace.adapters.cache_memory import MemoryCache
from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.fleet_cached import CachedFleet, SharedLevel
from millrace.adapters.fleet_cached.fleet import LOOK_EVERY_S, MAX_ABSENT
from millrace.adapters.fleet_cached.floors import MAX_DEVICES, Floors
from millrace.adapters.fleet_memory import MemoryFleet
from millrace.adapters.live_redis import RedisBulletin, RedisCache, RedisLink, RedisTarget
from millrace.errors import RetryError
from millrace.model.device import DeviceProfile
from millrace.ports.cache import Entry
from millrace.ports.fleet import Fleet
from tests.contracts.fleet import CONTROLLER, WORLD, FleetContract
from tests.servers.redis import RedisServer, running_redis

KEY = ("f2", CONTROLLER)
HEAD = "device_mac:e4fd45f654be"
POINTS = "dp:e4fd45f654be:1:4"
NUMBERED = replace(
    WORLD[0],
    number=7,
    pins={place: replace(each, number=2) for place, each in WORLD[0].pins.items()},
)
Open = Callable[..., CachedFleet]


class Registry(MemoryFleet):
    """A registry that counts who is looked up in it, and may be away."""

    def __init__(self) -> None:
        super().__init__([NUMBERED, *WORLD[1:]])
        self.asked: Counter[str] = Counter()
        self.is_away = False

    def version(self) -> int:
        if self.is_away:
            raise RetryError("the registry is away")
        return super().version()

    def profiles(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], DeviceProfile]:
        if self.is_away:
            raise RetryError("the registry is away")
        self.asked.update(device_id for _, device_id in keys)
        return super().profiles(keys)


class NoNews:
    """Nobody can be heard; see `ports.cache.News`."""

    def tell(self, notice: bytes) -> None:
        raise RetryError("nobody listens")

    def heard(self) -> bool:
        raise RetryError("nobody can be heard")

    def close(self) -> None:
        pass


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> MemoryCache:
    return MemoryCache(clock)


@pytest.fixture
def open_quiet(registry: Registry, clock: ManualClock, cache: MemoryCache) -> Open:
    """Open fleets that share a cache and hear nothing of each other."""

    def opened(store_name: str = "one", **how: object) -> CachedFleet:
        shared = SharedLevel(cache, NoNews(), store_name)
        return CachedFleet(registry, shared, clock=clock, **how)  # type: ignore[arg-type]

    return opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def shared_in(server: RedisServer, clock: ManualClock) -> SharedLevel:
    target = RedisTarget("127.0.0.1", server.port)
    cache, news = (RedisLink(target, clock) for _ in range(2))
    return SharedLevel(RedisCache(cache), RedisBulletin(news), "one")


@pytest.fixture
def open_shared(registry: Registry, clock: ManualClock, server: RedisServer) -> Iterator[Open]:
    """Open fleets that share a Redis, as processes of their own would."""
    with server.client() as client:
        client.flushall()
    made: list[CachedFleet] = []

    def opened() -> CachedFleet:
        made.append(CachedFleet(registry, shared_in(server, clock), clock=clock))
        return made[-1]

    yield opened
    for fleet in made:
        fleet.close()


class TestColdFleet(FleetContract):
    @pytest.fixture
    def fleet(self, open_quiet: Open) -> Fleet:
        return open_quiet()


class TestWarmFleet(FleetContract):
    @pytest.fixture
    def fleet(self, open_quiet: Open) -> Fleet:
        open_quiet().profiles([(each.family, each.device_id) for each in WORLD])
        return open_quiet()


@pytest.mark.services
class TestWarmFleetInRedis(FleetContract):
    @pytest.fixture
    def fleet(self, open_shared: Open) -> Fleet:
        open_shared().profiles([(each.family, each.device_id) for each in WORLD])
        return open_shared()


def test_a_warm_controller_is_not_looked_up(open_quiet: Open, registry: Registry) -> None:
    counts: Counter[str] = Counter()
    open_quiet().profiles([KEY])
    other = open_quiet(counted=lambda result, count: counts.update({result: count}))
    found = other.profiles([KEY, ("f2", "E4:FD:45:F6:54:BE"), ("meter", "dc-meter-001")])
    assert found[KEY] == WORLD[0]
    assert (found[KEY].number, found[KEY].pins[1, 4].number) == (7, 2)
    assert registry.asked == {CONTROLLER: 1, "dc-meter-001": 1}
    assert counts["hit"] == 1


def test_reg_110_to_114_keys_and_values(open_quiet: Open, cache: MemoryCache) -> None:
    open_quiet().profiles([KEY, ("f2", "gate_8")])
    kept = {key: (msgspec.json.decode(value), ttl_s) for key, value, ttl_s in cache.entries()}
    assert {key: ttl_s for key, (_, ttl_s) in kept.items()} == {
        POINTS: 600,
        HEAD: 3600,
        "sensor_mapping:7:1:4": 3600,
        "datapoint_metadata:1": 3600,
        "datapoint_metadata:2": 3600,
        "device_mac:gate_8": 30,
    }
    values = {key: value for key, (value, _) in kept.items()}
    assert all(value["v"] == 1 for value in values.values())
    assert values["device_mac:gate_8"] == {"v": 1, "s": "one", "none": True}
    assert (values[HEAD]["id"], values[HEAD]["device_id"]) == (7, CONTROLLER)
    assert (values[POINTS]["device_id"], values[POINTS]["template_version"]) == ("dev-2", 1)
    rows = values[POINTS]["versions"][0]["data_points"]
    assert [(row["id"], row["offset"], row["encoding"]) for row in rows] == [
        (1, 3, "Int16"),
        (2, 5, "Bit(3)"),
    ]
    mapping = values["sensor_mapping:7:1:4"]
    assert (mapping["id"], mapping["data_points"]) == (2, [1, 2])
    point = values["datapoint_metadata:1"]
    assert (point["encoding"], point["decimals"], point["unit"]) == ("Int16", 2, "°C")
    bit = values["datapoint_metadata:2"]
    assert (bit["encoding"], bit["bit"], bit["label"]) == ("Bit", 3, "Alarm")


def test_reg_116_what_was_touched_is_a_miss_the_rest_stays(
    open_quiet: Open, registry: Registry
) -> None:
    registry.put(DeviceProfile("f2-00000000000a", "f2", location="A"))
    fleet = open_quiet()
    keys = [KEY, ("f2", "f2-00000000000a")]
    fleet.profiles(keys)
    registry.put(DeviceProfile("f2-00000000000a", "f2", location="B"))
    fleet.version()
    assert fleet.profiles(keys)[keys[1]].location == "B"
    assert registry.asked == {CONTROLLER: 1, "f2-00000000000a": 2}


def test_reg_116_floors_are_bounded_and_never_too_low() -> None:
    floors = Floors(3)
    floors.touch(["a"], 5)
    assert (floors.of("a"), floors.of("b")) == (5, 3)
    floors.touch([f"d{number}" for number in range(MAX_DEVICES)], 6)
    assert (floors.of("a"), floors.of("b")) == (6, 6)
    floors.touch(None, 9)
    assert floors.of("a") == 9


def test_reg_116_at_start_what_is_older_than_now_is_a_miss(
    open_quiet: Open, registry: Registry
) -> None:
    open_quiet().profiles([KEY])
    registry.put(replace(NUMBERED, location="moved"))
    assert open_quiet().profiles([KEY])[KEY].location == "moved"


def test_an_entry_of_another_store_or_of_a_later_version_is_none(
    open_quiet: Open, registry: Registry
) -> None:
    open_quiet("another").profiles([KEY])
    open_quiet().profiles([KEY])
    assert registry.asked[CONTROLLER] == 2
    registry.put(replace(NUMBERED, location="later"))
    open_quiet().profiles([KEY])
    registry._history.clear()  # a registry that was restored from a backup
    registry._profiles[KEY] = NUMBERED
    assert open_quiet().profiles([KEY])[KEY].location is None


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"v": "x"}', b'{"v": 1}', b"\xff"])
@pytest.mark.parametrize("key", [HEAD, POINTS])
def test_what_others_wrote_under_a_key_is_a_miss(
    open_quiet: Open, cache: MemoryCache, key: str, value: bytes
) -> None:
    fleet = open_quiet()
    fleet.profiles([KEY])
    cache.put([Entry(key, value, 60)])
    assert fleet.profiles([KEY]) == {KEY: WORLD[0]}


def test_reg_110_points_that_have_vanished_are_read_again(
    open_quiet: Open, registry: Registry, clock: ManualClock
) -> None:
    fleet = open_quiet()
    fleet.profiles([KEY])
    clock.advance(601)
    assert fleet.profiles([KEY]) == {KEY: WORLD[0]}
    assert registry.asked[CONTROLLER] == 2


def test_reg_114_absent_is_remembered_for_half_a_minute(
    open_quiet: Open, registry: Registry, cache: MemoryCache, clock: ManualClock
) -> None:
    fleet, key = open_quiet(), ("f2", "f2-0000000000ff")
    assert not fleet.profiles([key])[key].is_known
    cache.delete(["device_mac:0000000000ff"])
    assert not fleet.profiles([key])[key].is_known
    assert registry.asked[key[1]] == 1
    clock.advance(31)
    fleet.profiles([key])
    assert registry.asked[key[1]] == 2


def test_reg_114_what_is_absent_is_bounded_in_process(open_quiet: Open) -> None:
    fleet = open_quiet()
    for number in range(0, 2 * MAX_ABSENT, 2000):
        fleet.profiles([("f2", f"gate_{n}") for n in range(number, number + 2000)])
    assert len(fleet._absent) == MAX_ABSENT


def test_reg_117_a_registration_ends_the_absence(
    open_quiet: Open, registry: Registry, clock: ManualClock
) -> None:
    fleet, key = open_quiet(), ("f2", "f2-0000000000ff")
    fleet.profiles([key])
    registry.put(DeviceProfile(key[1], "f2"))
    assert not fleet.profiles([key])[key].is_known
    clock.advance(LOOK_EVERY_S)
    assert fleet.profiles([key])[key].is_known


def test_reg_117_without_news_five_seconds_at_most(
    open_quiet: Open, registry: Registry, clock: ManualClock
) -> None:
    writer, reader = open_quiet(), open_quiet()
    reader.profiles([KEY])
    registry.put(replace(NUMBERED, location="moved"))
    writer.version()
    clock.advance(LOOK_EVERY_S)
    assert reader.profiles([KEY])[KEY].location == "moved"


def test_reg_117_who_asks_for_the_version_first_is_never_late(
    open_quiet: Open, registry: Registry
) -> None:
    fleet = open_quiet()
    for place in ("A", "B", "C"):
        registry.put(replace(NUMBERED, location=place))
        assert fleet.version() == registry.version()
        assert fleet.profiles([KEY])[KEY].location == place


def test_reg_118_a_registry_that_is_away_is_never_unknown_and_not_remembered(
    open_quiet: Open, registry: Registry, cache: MemoryCache, clock: ManualClock
) -> None:
    fleet = open_quiet()
    fleet.profiles([KEY])
    registry.is_away = True
    assert fleet.profiles([KEY]) == {KEY: WORLD[0]}
    with pytest.raises(RetryError):
        fleet.profiles([("f2", "gate_9")])
    clock.advance(LOOK_EVERY_S)
    with pytest.raises(RetryError):
        fleet.profiles([KEY])
    assert cache.get(["device_mac:gate_9"]) == {}


@pytest.mark.services
def test_reg_117_with_news_one_second_at_most(
    open_shared: Open, registry: Registry, server: RedisServer
) -> None:
    writer, reader = open_shared(), open_shared()
    reader.profiles([KEY])
    with server.client() as client:
        listener = client.pubsub(ignore_subscribe_messages=True)
        listener.subscribe("millrace:registry")
        time.sleep(0.05)
        registry.put(replace(NUMBERED, location="moved"))
        begun = time.monotonic()
        writer.version()
        while reader.profiles([KEY])[KEY].location != "moved":  # no clock moves but that of news
            assert time.monotonic() - begun < 1.0
        while (notice := listener.get_message(timeout=1)) is None:
            assert time.monotonic() - begun < 2.0
        assert msgspec.json.decode(notice["data"]) == {
            "version": 2, "devices": [CONTROLLER], "templates": [],
        }  # fmt: skip
        listener.close()


@pytest.mark.services
def test_reg_117_touched_keys_are_removed(
    open_shared: Open, registry: Registry, server: RedisServer
) -> None:
    fleet = open_shared()
    fleet.profiles([KEY])
    with server.client() as client:
        assert client.exists(HEAD, POINTS, "sensor_mapping:7:1:4") == 3
        assert 590 < client.ttl(POINTS) <= 600
        registry.put(NUMBERED)
        fleet.version()
        assert client.exists(HEAD, POINTS, "sensor_mapping:7:1:4") == 0


@pytest.mark.services
@pytest.mark.parametrize("fault", ["flush", "kill", "restart", "sleep"])
def test_f29_answers_are_the_same_whatever_happens_to_redis(
    tmp_path: Path, registry: Registry, clock: ManualClock, fault: str
) -> None:
    with running_redis(tmp_path) as server:
        fleet = CachedFleet(registry, shared_in(server, clock), clock=clock)
        begun = time.monotonic()
        for step in range(30):
            if step == 10 and fault == "flush":
                with server.client() as client:
                    client.flushall()
            if step == 10 and fault in ("kill", "restart"):
                server.kill()
            if step == 15 and fault == "restart":
                server.start()
            if step == 10 and fault == "sleep":
                server.sleep(2.0)
            place = f"place {step}"
            registry.put(replace(NUMBERED, location=place))
            fleet.version()
            keys = [KEY, ("f2", f"door_{step}"), ("sensors", "temp-1")]
            found = fleet.profiles(keys)
            assert found[KEY].location == place
            assert [found[key].is_known for key in keys] == [True, False, True]
            clock.advance(0.3)
        assert time.monotonic() - begun < 10
        fleet.close()


def restore(registry: Registry) -> None:
    """Bring a backup back from before all writes."""
    registry._history.clear()
    registry._profiles[KEY] = NUMBERED


def lose(registry: Registry) -> None:
    """Write what the restore will lose, as version 3."""
    registry.put(DeviceProfile("f2-00000000000a", "f2"))
    registry.put(replace(NUMBERED, location="lost"))


def test_reg_116_what_a_restore_has_lost_never_comes_back(
    open_quiet: Open, registry: Registry
) -> None:
    writer, reader = open_quiet(), open_quiet()
    lose(registry)
    assert writer.version() == reader.version() == 3
    assert writer.profiles([KEY])[KEY].location == "lost"
    restore(registry)
    assert reader.version() == 1
    registry.put(DeviceProfile("f2-00000000000b", "f2"))
    registry.put(DeviceProfile("f2-00000000000c", "f2"))
    assert reader.version() == 3
    assert reader.profiles([KEY])[KEY].location is None


class AbsentCache(MemoryCache):
    """A cache that may be away for those who remove."""

    is_away = False

    def clear(self, beginnings: Sequence[str]) -> None:
        if self.is_away:
            raise RetryError("the cache is away")
        super().clear(beginnings)


def test_reg_116_a_lost_time_is_removed_before_the_cache_is_asked_again(
    registry: Registry, clock: ManualClock
) -> None:
    cache = AbsentCache(clock)
    fleet = CachedFleet(registry, SharedLevel(cache, NoNews(), "one"), clock=clock)
    lose(registry)
    fleet.version()
    fleet.profiles([KEY])
    cache.is_away = True
    restore(registry)
    for number in range(2):
        fleet.version()
        registry.put(DeviceProfile(f"f2-00000000000{number}", "f2"))
    assert fleet.version() == 3
    assert fleet.profiles([KEY])[KEY].location is None
    cache.is_away = False
    assert fleet.profiles([KEY])[KEY].location is None
    assert all(b"lost" not in entry.value for entry in cache.entries())
