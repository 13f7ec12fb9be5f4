"""The documented keys: newest values and counts, projected from the ledger into the cache.

Only the process that leads writes them, in passing: nobody waits for the cache, and the pump knows
nothing of it. What was written is remembered here until it has expired, so a cache that was emptied
or was away gets everything again. A process that begins to lead reads the hot batches of the last
five minutes, which is the store's own memory of them.
Source: SNS-060, SNS-062 to SNS-064, reliability.md F29.
"""

import asyncio
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
import structlog

from millrace.errors import RetryError
from millrace.flow.hot_frame import open_hot
from millrace.ports.accounts import Accounts
from millrace.ports.cache import Cache, Entry
from millrace.ports.clock import Clock
from millrace.ports.ledger import HotBatch, HotReadings
from millrace.ports.live import LiveRows
from millrace.serve.desk import Desk
from millrace.serve.live_feed import Feed
from millrace.serve.live_points import columns_of
from millrace.serve.problems import Problem

EVERY_S: Final = 0.5
COUNT_EVERY_S: Final = 15.0
VALUE_TTL_S: Final = 300
COUNT_TTL_S: Final = 60
MARK: Final = "millrace:keys"
MARK_TTL_S: Final = 86_400
BATCHES: Final = 20
SECOND_NS: Final = 1_000_000_000

# Metric -> end of the key.
NAMES: Final = {"humidity_percent": "humidity"}


class KeySources(NamedTuple):
    """The ports of the thread that follows the ledger."""

    hot: HotReadings
    rows: LiveRows
    accounts: Accounts | None


class LatestKeys:
    """Keeps the keys up to date for ever; see `run`. Belongs to the event loop."""

    def __init__(
        self, sources: KeySources, desk: Desk, feed: Feed, *, cache: Cache, clock: Clock
    ) -> None:
        self._sources = sources
        self._desk = desk
        self._feed = feed
        self._cache = cache
        self._cache_desk = Desk("cache", 5.0)
        self._clock = clock
        self._key_of: dict[int, str] = {}
        self._is_meant = np.zeros(0, np.bool_)
        self._known_series = 0
        self._after = 0
        self._counted_at_s = float("-inf")
        self._kept: dict[str, tuple[bytes, float]] = {}
        self._is_complete = False

    async def run(self) -> None:
        """Write what has come, twice a second, for ever."""
        while True:
            try:
                await self.run_once()
            except (Problem, RetryError) as error:
                structlog.get_logger().warning("keys_wait", error=str(error))
            await asyncio.sleep(EVERY_S)

    async def run_once(self) -> None:
        """Write what has come since the last time, if this process leads.

        Raises:
            RetryError, Problem: The store cannot be asked.
        """
        if not self._feed.is_leading:
            self._after, self._is_complete = 0, False
            return
        is_more = True
        while is_more:
            values, is_more = await self._desk.ask("range", self._read)
            await self._write(values)
        if self._clock.steady_s() - self._counted_at_s >= COUNT_EVERY_S:
            self._counted_at_s = self._clock.steady_s()
            await self._count()

    def close(self) -> None:
        """Begin no further write."""
        self._cache_desk.close()

    def _read(self) -> tuple[list[Entry], bool]:
        """Return the values of the next batches, and whether there are more."""
        if not self._key_of:
            self._learn()
        if not self._key_of:
            return [], False  # no batch is read for devices that are not there
        batches = self._sources.hot.hot(self._after, BATCHES)
        # The series of a batch are committed with it: who learns afterwards misses none.
        self._learn()
        entries: dict[str, Entry] = {}
        now_ns = self._clock.now_ns()
        for batch in batches:
            left_s = VALUE_TTL_S - (now_ns - batch.committed_at_ns) / SECOND_NS
            if left_s > 0:
                entries |= self._values(batch, min(left_s, VALUE_TTL_S))
            self._after = batch.id
        return list(entries.values()), len(batches) == BATCHES

    def _learn(self) -> None:
        while page := self._sources.rows.series_after(self._known_series):
            for row in page:
                name = NAMES.get(row.key.metric)
                if name is not None and not row.key.channel:
                    self._key_of[row.series_id] = f"device:{row.key.device_id}:{name}"
            self._known_series = page[-1].series_id
            grown = np.zeros(self._known_series + 1, np.bool_)
            grown[list(self._key_of)] = True
            self._is_meant = grown

    def _values(self, batch: HotBatch, ttl_s: float) -> dict[str, Entry]:
        """Return the value of each series that arrived last in a batch."""
        columns = columns_of(open_hot(batch.frame))
        known = np.minimum(columns.series, self._known_series)
        meant = self._is_meant[known] & (known == columns.series)
        pairs = zip(columns.series[meant].tolist(), columns.value[meant].tolist(), strict=True)
        return {
            (key := self._key_of[series]): Entry(key, decimal(value), ttl_s)
            for series, value in pairs
        }

    async def _count(self) -> None:
        """Write the counts, and everything again when the cache was emptied."""
        try:
            mark = await self._cache_desk.ask("get", self._cache.get, [MARK])
            self._is_complete &= bool(mark)
        except (Problem, RetryError):
            self._is_complete = False
        entries = [Entry(MARK, b"1", MARK_TTL_S)]
        if self._sources.accounts is not None:
            account = await self._desk.ask("get", self._sources.accounts.read)
            entries += [
                Entry("dashboard:active_devices", b"%d" % account.online_devices, COUNT_TTL_S),
                Entry("dashboard:total_alerts", b"%d" % account.open_alerts, COUNT_TTL_S),
            ]
        await self._write(entries)
        now_s = self._clock.steady_s()
        self._kept = {key: kept for key, kept in self._kept.items() if kept[1] > now_s}

    async def _write(self, entries: Iterable[Entry]) -> None:
        now_s = self._clock.steady_s()
        fresh = list(entries)
        self._kept |= {key: (value, now_s + ttl_s) for key, value, ttl_s in fresh}
        if not self._is_complete:
            fresh = [
                Entry(key, value, until_s - now_s)
                for key, (value, until_s) in self._kept.items()
                if until_s > now_s
            ]
        if not fresh:
            return
        try:
            await self._cache_desk.ask("get", self._cache.put, fresh)
        except (Problem, RetryError):
            self._is_complete = False
        else:
            self._is_complete = True


def decimal(value: float) -> bytes:
    """Return a number as the shortest decimal text that reads back as itself (SNS-063)."""
    return repr(value).removesuffix(".0").encode()
