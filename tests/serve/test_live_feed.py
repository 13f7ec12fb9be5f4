"""The feed: one process reads the ledger for all, and no ring is needed to miss nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.adapters.clock_manual import ManualClock
from millrace.adapters.live_memory import MemoryLive
from millrace.adapters.live_redis import RedisLink, RedisLive, RedisTarget
from millrace.ports.ledger import HotBatch
from millrace.ports.live import Live
from millrace.serve.live_feed import GLANCE_S, Feed
from tests.servers.redis import RedisServer, running_redis

PAGE = 10


class CountingHot:
    """A ledger that counts how often it is read; see `ports.ledger.HotReadings`."""

    def __init__(self) -> None:
        self.batches: list[HotBatch] = []
        self.reads = 0

    def commit(self, count: int = 1) -> None:
        for _ in range(count):
            number = len(self.batches) + 1
            self.batches.append(HotBatch(number, number * 1_000_000, 1, b"frame"))

    def hot(self, after_id: int, limit: int = 1000) -> list[HotBatch]:
        self.reads += 1
        return self.batches[after_id : after_id + limit]

    def forget_hot(self, up_to_id: int) -> int:
        raise NotImplementedError

    def close(self) -> None:
        pass


class Process:
    """One serve process as far as the feed goes: it follows, and remembers what it was given."""

    def __init__(self, live: Live, clock: ManualClock, ledger: CountingHot) -> None:
        self.hot = CountingHot()
        self.hot.batches = ledger.batches
        self.feed = Feed(self.hot, live, clock)
        self.seen: list[int] = []

    @property
    def newest(self) -> int:
        return self.seen[-1] if self.seen else 0

    def poll(self) -> None:
        self.seen += [batch.id for batch in self.feed.follow(self.newest, PAGE)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ledger() -> CountingHot:
    return CountingHot()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def pair(
    server: RedisServer, clock: ManualClock, ledger: CountingHot
) -> Iterator[tuple[Process, Process]]:
    lives = [
        RedisLive(
            RedisLink(RedisTarget("127.0.0.1", server.port), clock),
            "one",
            check=lambda _frame: None,
        )
        for _ in range(2)
    ]
    first, second = (Process(live, clock, ledger) for live in lives)
    first.poll()
    second.poll()
    yield first, second
    for live in lives:
        live.close()


def test_alone_the_ledger_is_followed(clock: ManualClock, ledger: CountingHot) -> None:
    process = Process(MemoryLive(), clock, ledger)
    ledger.commit(25)
    for _ in range(3):
        process.poll()
    assert process.seen == list(range(1, 26))
    assert [batch.id for batch in process.feed.replay(3, 4)] == [4, 5, 6, 7]
    assert process.hot.reads == 3


@pytest.mark.services
def test_the_second_reads_the_ring_in_place_of_the_ledger(
    pair: tuple[Process, Process], ledger: CountingHot
) -> None:
    first, second = pair
    reads = second.hot.reads
    for _ in range(30):
        ledger.commit()
        first.poll()
        second.poll()
        second.poll()
    assert first.seen == second.seen == list(range(1, 31))
    assert second.hot.reads == reads


@pytest.mark.services
def test_when_the_first_is_gone_a_glance_at_the_ledger_finds_what_came(
    pair: tuple[Process, Process], ledger: CountingHot, clock: ManualClock
) -> None:
    _, second = pair
    ledger.commit(3)
    second.poll()
    assert second.seen == []
    clock.advance(GLANCE_S)
    second.poll()
    assert second.seen == [1, 2, 3]


@pytest.mark.services
@pytest.mark.parametrize("fault", ["flush", "kill", "restart"])
def test_f29_nothing_is_missed_or_repeated_whatever_happens_to_redis(
    pair: tuple[Process, Process],
    ledger: CountingHot,
    clock: ManualClock,
    server: RedisServer,
    fault: str,
) -> None:
    first, second = pair
    for step in range(40):
        ledger.commit()
        first.poll()
        if step % 4 == 3:  # behind by some, so that a flush takes what it has not read
            second.poll()
        if step == 17:
            if fault == "flush":
                with server.client() as client:
                    client.flushall()
            else:
                server.kill()
        if step == 25 and fault == "restart":
            server.start()
        clock.advance(0.3)
    clock.advance(GLANCE_S)
    second.poll()
    second.poll()
    assert first.seen == second.seen == list(range(1, 41))
