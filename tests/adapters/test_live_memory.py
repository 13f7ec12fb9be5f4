"""The live ring in memory keeps the contract."""

import pytest

from millrace.adapters.live_memory import OVERHEAD_BYTES, MemoryLive
from tests.contracts.live import BUDGET_BATCHES, SIZE_BYTES, SPAN_S, LiveContract


@pytest.fixture
def live() -> MemoryLive:
    budget = BUDGET_BATCHES * (SIZE_BYTES + OVERHEAD_BYTES)
    return MemoryLive(span_s=SPAN_S, budget_bytes=budget)


class TestMemoryLive(LiveContract):
    pass
