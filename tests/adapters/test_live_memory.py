"""The live ring: what it gives back, and when it says that it cannot."""

import pytest

from millrace.adapters.live_memory import OVERHEAD_BYTES, MemoryLive
from millrace.errors import GoneError
from millrace.ports.ledger import HotBatch

SECOND_NS = 1_000_000_000


def batch(number: int, at_s: float = 0, size: int = 10) -> HotBatch:
    return HotBatch(number, int(at_s * SECOND_NS), 1, b"x" * size)


def ids(found: list[HotBatch]) -> list[int]:
    return [one.id for one in found]


def test_gives_back_what_follows_in_order() -> None:
    live = MemoryLive(start_id=6)
    for number in (7, 8, 8, 9, 3):
        live.publish(batch(number))
    assert ids(live.since(6)) == [7, 8, 9]
    assert ids(live.since(8)) == [9]
    assert live.since(9) == []
    assert live.since(50) == []
    assert live.newest() == 9


def test_d_33_what_is_older_than_a_minute_falls_out_and_is_missed_aloud() -> None:
    live = MemoryLive()
    for number in range(1, 100):
        live.publish(batch(number, at_s=number))
    assert ids(live.since(38))[0] == 39
    with pytest.raises(GoneError):
        live.since(37)


def test_the_budget_holds_but_the_newest_stays() -> None:
    live = MemoryLive(budget_bytes=3 * (10 + OVERHEAD_BYTES))
    for number in range(1, 10):
        live.publish(batch(number))
    assert ids(live.since(6)) == [7, 8, 9]
    live.publish(batch(10, size=1_000_000))
    assert ids(live.since(9)) == [10]


def test_an_empty_ring_knows_where_it_begins() -> None:
    live = MemoryLive(start_id=5)
    assert live.since(5) == []
    assert live.newest() == 5
    with pytest.raises(GoneError):
        live.since(4)
