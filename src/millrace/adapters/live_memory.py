"""The live ring in memory: the last minute of batches, or as many as the budget holds."""

from bisect import bisect_right
from collections import deque
from itertools import islice

from millrace.errors import GoneError
from millrace.ports.ledger import HotBatch

SPAN_S = 60
# Who resumes behind it is given the same batches from the ledger.
BUDGET_BYTES = 16 * 1024 * 1024
# What a batch costs beside its frame: the object, its numbers, its place in the ring.
OVERHEAD_BYTES = 240


class MemoryLive:
    """See `ports.live.Live`. It has one user, so its ring never breaks within."""

    def __init__(self, *, span_s: int = SPAN_S, budget_bytes: int = BUDGET_BYTES) -> None:
        self._floor = 0
        self._newest = 0
        self._span_ns = span_s * 1_000_000_000
        self._budget_bytes = budget_bytes
        self._size_bytes = 0
        self._ring: deque[HotBatch] = deque()

    def publish(self, batch: HotBatch, after_id: int) -> None:
        if batch.id <= self._newest:
            return
        if after_id != self._newest:
            self._ring.clear()
            self._size_bytes = 0
            self._floor = after_id
        self._ring.append(batch)
        self._newest = batch.id
        self._size_bytes += len(batch.frame) + OVERHEAD_BYTES
        oldest_ns = batch.committed_at_ns - self._span_ns
        while self._ring[0].committed_at_ns < oldest_ns or (
            self._size_bytes > self._budget_bytes and len(self._ring) > 1
        ):
            gone = self._ring.popleft()
            self._floor = gone.id
            self._size_bytes -= len(gone.frame) + OVERHEAD_BYTES

    def since(self, after_id: int, limit: int = 1000) -> list[HotBatch]:
        if self._ring and after_id < self._floor:
            raise GoneError(f"batches up to {self._floor} have left the live ring")
        first = bisect_right(self._ring, after_id, key=lambda batch: batch.id)
        return list(islice(self._ring, first, first + limit))

    def leads(self) -> bool:
        return True

    def close(self) -> None:
        pass
