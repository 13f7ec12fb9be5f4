"""The cache in memory keeps the contract, and its bound."""

from collections.abc import Callable

import pytest

from millrace.adapters.cache_memory import MemoryCache
from millrace.adapters.clock_manual import ManualClock
from millrace.ports.cache import Entry
from tests.contracts.cache import CacheContract


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> MemoryCache:
    return MemoryCache(clock)


@pytest.fixture
def wait(clock: ManualClock) -> Callable[[float], None]:
    return clock.advance


class TestMemoryCache(CacheContract):
    pass


def test_when_it_is_full_what_ends_first_goes_first(clock: ManualClock) -> None:
    cache = MemoryCache(clock, max_entries=100)
    cache.put([Entry(f"k{number}", b"x", 60 + number) for number in range(150)])
    left = cache.get([f"k{number}" for number in range(150)])
    assert 80 <= len(left) <= 100
    assert "k149" in left
    assert "k0" not in left
