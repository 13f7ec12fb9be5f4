"""Redelivered messages that carry no number: equal bytes on the same topic, within ten seconds.

Only a message with the DUP flag is looked up, but every message is remembered, as 64 bits of hash
and its receipt. The hash holds for one process only, like the memory: after a start it is filled
again from the tail of the log. Partitions are remembered apart, because one may be read hours
behind another.
Source: MTR-058, D-16.
"""

from collections import deque
from collections.abc import Container
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from millrace.model.instants import SECOND_NS
from millrace.model.message import DUP, RawBatch

Column = npt.NDArray[np.int64]

_BYTES_PER_MESSAGE = 16
_MIX = np.int64(-0x61C8864680B583EB)  # 2^64 / golden ratio: tells topic and payload apart


@dataclass(slots=True)
class _Chunk:
    """What one batch left: hashes and receipts in order; sorted by hash at the first look-up."""

    hashes: Column
    received_at_ns: Column
    newest_ns: int
    is_sorted: bool = False

    def latest(self, wanted: Column) -> Column:
        """Return for each wanted hash the newest receipt of it here, or the smallest integer."""
        if not self.is_sorted:
            order = np.lexsort((self.received_at_ns, self.hashes))
            self.hashes, self.received_at_ns = self.hashes[order], self.received_at_ns[order]
            self.is_sorted = True
        after = np.searchsorted(self.hashes, wanted, side="right") - 1
        found = (after >= 0) & (self.hashes[after] == wanted)
        return np.where(found, self.received_at_ns[after], np.iinfo(np.int64).min)


class _Recent:
    """The chunks of one partition, oldest first."""

    def __init__(self) -> None:
        self.chunks: deque[_Chunk] = deque()
        self.messages = 0
        self.newest_ns = 0

    def keep(self, chunk: _Chunk, window_ns: int, max_messages: int) -> None:
        """Add a chunk and forget what is too old or too much."""
        self.chunks.append(chunk)
        self.messages += len(chunk.hashes)
        self.newest_ns = max(self.newest_ns, chunk.newest_ns)
        while len(self.chunks) > 1 and (
            self.chunks[0].newest_ns < self.newest_ns - window_ns or self.messages > max_messages
        ):
            self.messages -= len(self.chunks.popleft().hashes)

    def latest(self, wanted: Column) -> Column:
        """Return for each wanted hash its newest receipt, or the smallest integer."""
        latest = np.full(len(wanted), np.iinfo(np.int64).min)
        for chunk in self.chunks:
            np.maximum(latest, chunk.latest(wanted), out=latest)
        return latest


class RedeliveryMemory:
    """Remembers for `window_s` seconds, and for at most `max_bytes` per partition."""

    def __init__(self, window_s: int = 10, max_bytes: int = 16 * 1024 * 1024) -> None:
        self._window_ns = window_s * SECOND_NS
        self._max_messages = max_bytes // _BYTES_PER_MESSAGE
        self._recent: dict[int, _Recent] = {}

    def observe(self, batch: RawBatch, sequenced: Container[int] = ()) -> list[int]:
        """Remember the messages of a batch; return the indices of those that are duplicates.

        `sequenced` are the indices of messages with a usable number, which other rules judge.
        Order: batches of one partition come in log order.
        """
        if not len(batch):
            return []
        hashes = _hashes(batch)
        received_at_ns = np.array(batch.received_at_ns, np.int64)
        recent = self._recent.setdefault(batch.partition, _Recent())
        marked = {i for i, f in enumerate(batch.flags) if f & DUP and i not in sequenced}
        found = self._find(recent, hashes, batch.received_at_ns, marked) if marked else []
        chunk = _Chunk(hashes, received_at_ns, int(received_at_ns.max()))
        recent.keep(chunk, self._window_ns, self._max_messages)
        return found

    def _find(
        self, recent: _Recent, hashes: Column, received_at_ns: list[int], marked: set[int]
    ) -> list[int]:
        wanted = hashes[sorted(marked)]
        known = dict(zip(wanted.tolist(), recent.latest(wanted).tolist(), strict=True))
        found = []
        for i, (value, at_ns) in enumerate(zip(hashes.tolist(), received_at_ns, strict=True)):
            before_ns = known.get(value)
            if before_ns is None:
                continue
            if i in marked and at_ns - before_ns <= self._window_ns:
                found.append(i)
            known[value] = max(before_ns, at_ns)
        return found


def _hashes(batch: RawBatch) -> Column:
    count = len(batch)
    topics = np.fromiter(map(hash, batch.topics), np.int64, count)
    payloads = np.fromiter(map(hash, batch.payloads), np.int64, count)
    with np.errstate(over="ignore"):
        return topics * _MIX ^ payloads
