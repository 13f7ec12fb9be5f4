"""A cache in the memory of one process, with the keys and times to live of the shared one.

When it is full, what would vanish first goes first. Source: SNS-064, REG-114.
"""

from collections.abc import Mapping, Sequence

from millrace.ports.cache import Entry
from millrace.ports.clock import Clock

MAX_ENTRIES = 100_000


class MemoryCache:
    """See `ports.cache.Cache`."""

    def __init__(self, clock: Clock, *, max_entries: int = MAX_ENTRIES) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._kept: dict[str, tuple[bytes, float]] = {}

    def get(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        now_s = self._clock.steady_s()
        found = ((key, self._kept.get(key)) for key in keys)
        return {key: kept[0] for key, kept in found if kept is not None and kept[1] > now_s}

    def put(self, entries: Sequence[Entry]) -> None:
        now_s = self._clock.steady_s()
        for key, value, ttl_s in entries:
            self._kept[key] = (value, now_s + ttl_s)
        if len(self._kept) > self._max_entries:
            self._make_room(now_s)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._kept.pop(key, None)

    def clear(self, beginnings: Sequence[str]) -> None:
        self.delete([key for key in self._kept if key.startswith(tuple(beginnings))])

    def entries(self) -> list[Entry]:
        """Return everything that has not vanished, with the time that each has left."""
        now_s = self._clock.steady_s()
        return [
            Entry(key, value, until_s - now_s)
            for key, (value, until_s) in self._kept.items()
            if until_s > now_s
        ]

    def close(self) -> None:
        pass

    def _make_room(self, now_s: float) -> None:
        alive = [(key, kept) for key, kept in self._kept.items() if kept[1] > now_s]
        alive.sort(key=lambda item: item[1][1])
        # A tenth more than needed, so that a full cache is not sorted at every put.
        room = self._max_entries * 9 // 10
        self._kept = dict(alive[-room:] if len(alive) > self._max_entries else alive)
