"""The live ring in Redis keeps the contract; sharing and every way of losing Redis beyond it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.live_redis import RedisLink, RedisLive, RedisTarget
from millrace.adapters.live_redis.ring import OVERHEAD_BYTES
from millrace.errors import GoneError, RetryError
from millrace.flow.hot_frame import check_hot, seal_hot
from millrace.model.work import Readings
from millrace.ports.ledger import HotBatch
from tests.contracts.live import BUDGET_BATCHES, SIZE_BYTES, SPAN_S, LiveContract, batch, fill, ids
from tests.servers.redis import RedisServer, running_redis

pytestmark = pytest.mark.services

Open = Callable[..., RedisLive]
Check = Callable[[bytes], None]


def any_frame(_frame: bytes) -> None:
    """Take every frame: those of the contract are no real ones."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def open_live(server: RedisServer, clock: ManualClock) -> Iterator[Open]:
    """Open rings of one ledger, as processes of their own would."""
    with server.client() as client:
        client.flushall()
    made: list[RedisLive] = []

    def opened(ledger: str = "one", *, key_prefix: str = "", check: Check = any_frame) -> RedisLive:
        link = RedisLink(RedisTarget("127.0.0.1", server.port), clock, key_prefix=key_prefix)
        budget = BUDGET_BATCHES * (SIZE_BYTES + OVERHEAD_BYTES)
        made.append(RedisLive(link, ledger, span_s=SPAN_S, budget_bytes=budget, check=check))
        return made[-1]

    yield opened
    for live in made:
        live.close()


@pytest.fixture
def live(open_live: Open) -> RedisLive:
    return open_live()


class TestRedisLive(LiveContract):
    pass


def test_what_one_process_adds_the_others_see_once(open_live: Open) -> None:
    first, second = open_live(), open_live()
    fill(first, 1, 3)
    fill(second, 2, 5)
    assert ids(first.since(0)) == ids(second.since(0)) == [1, 2, 3, 4, 5]


def test_rings_of_two_ledgers_do_not_meet(open_live: Open) -> None:
    fill(open_live("one"), 1, 3)
    assert open_live("two").since(0) == []
    assert open_live("one", key_prefix="other:").since(0) == []


def test_one_leads_until_its_lease_ends(open_live: Open, server: RedisServer) -> None:
    first, second = open_live(), open_live()
    assert first.leads()
    assert not second.leads()
    with server.client() as client:
        client.delete("millrace:live:one:lead")  # what the end of the lease does
    assert second.leads()
    assert not first.leads()


def test_a_lease_ends_by_itself(open_live: Open, server: RedisServer) -> None:
    assert open_live().leads()
    with server.client() as client:
        assert 0 < client.pttl("millrace:live:one:lead") <= 3000


def test_the_stream_vanishes_when_nobody_adds_to_it(live: RedisLive, server: RedisServer) -> None:
    fill(live, 1, 1)
    with server.client() as client:
        assert 0 < client.pttl("millrace:live:one") <= SPAN_S * 1000


def test_f29_a_flush_is_seen_by_readers_and_heals(open_live: Open, server: RedisServer) -> None:
    writer, reader = open_live(), open_live()
    fill(writer, 1, 5)
    with server.client() as client:
        client.flushall()
    assert reader.since(3) == []
    fill(writer, 6, 7)
    with pytest.raises(GoneError):
        reader.since(3)
    assert ids(reader.since(5)) == [6, 7]


def test_f29_what_others_wrote_there_is_no_batch(live: RedisLive, server: RedisServer) -> None:
    with server.client() as client:
        client.xadd("millrace:live:one", {"what": "ever"}, id="9-0")
    with pytest.raises(GoneError):
        live.since(3)


@pytest.mark.parametrize("place", [0, -1])  # of another release, or damaged
def test_f29_a_frame_that_cannot_be_opened_is_left_to_the_ledger(
    open_live: Open, place: int
) -> None:
    live = open_live(check=check_hot)
    number = np.ones(3, np.int64)
    whole = seal_hot(
        Readings(number, number, number, np.ones(3), np.ones(3, np.int16), number, number)
    )
    live.publish(HotBatch(1, 0, 1, whole), 0)
    assert ids(live.since(0)) == [1]
    wrong = bytearray(whole)
    wrong[place] ^= 0xFF
    live.publish(HotBatch(2, 0, 1, bytes(wrong)), 1)
    with pytest.raises(GoneError):
        live.since(0)
    live.publish(HotBatch(3, 0, 1, whole), 2)
    assert ids(live.since(2)) == [3]


def test_f29_a_key_of_another_kind_is_an_outage(live: RedisLive, server: RedisServer) -> None:
    with server.client() as client:
        client.set("millrace:live:one", "text")
    with pytest.raises(RetryError):
        live.publish(batch(1), 0)


def test_f29_absent_it_fails_at_once_rests_and_comes_back(
    tmp_path: Path, clock: ManualClock
) -> None:
    failed: list[int] = []
    with running_redis(tmp_path) as server:
        link = RedisLink(
            RedisTarget("127.0.0.1", server.port), clock, failed=lambda: failed.append(1)
        )
        live = RedisLive(link, "one", check=any_frame)
        fill(live, 1, 2)
        server.kill()
        for _ in range(3):
            with pytest.raises(RetryError):
                live.publish(batch(3), 2)
        assert len(failed) == 3
        assert live.leads()  # alone is alone
        server.start()
        with pytest.raises(RetryError):
            live.since(0)  # still resting: nobody waits for a server that was away a moment ago
        clock.advance(1)
        assert live.since(0) == []
        fill(live, 4, 4)
        with pytest.raises(GoneError):
            live.since(2)
        live.close()


def test_f29_a_restart_between_two_calls_costs_nothing(tmp_path: Path, clock: ManualClock) -> None:
    with running_redis(tmp_path) as server:
        live = RedisLive(
            RedisLink(RedisTarget("127.0.0.1", server.port), clock), "one", check=any_frame
        )
        fill(live, 1, 2)
        server.kill()
        server.start()
        fill(live, 3, 3)
        assert ids(live.since(2)) == [3]
        live.close()


def test_f29_asleep_it_costs_one_deadline_a_rest(tmp_path: Path, clock: ManualClock) -> None:
    with running_redis(tmp_path) as server:
        link = RedisLink(RedisTarget("127.0.0.1", server.port, timeout_s=0.2), clock)
        live = RedisLive(link, "one", check=any_frame)
        fill(live, 1, 1)
        server.sleep(1.5)
        begun = time.monotonic()
        for _ in range(50):
            with pytest.raises(RetryError):
                live.publish(batch(2), 1)
        assert time.monotonic() - begun < 1.0
        time.sleep(1.5)  # the server is asleep in real time
        clock.advance(1)
        assert ids(live.since(0))[0] == 1  # what it heard before it slept, it does when it wakes
        live.close()
