"""The feed: hot batches in order, from the shared ring or from the ledger.

One of the processes that share a ring leads: it reads the ledger and fills the ring. The others
follow the ring, and look into the ledger once a second, or whenever the ring is away or has a
break. The ledger is the truth, so who leads, and whether there is a ring at all, changes how soon
something comes, never whether.
Source: D-02, D-33, reliability.md F29.
"""

from millrace.errors import GoneError, RetryError
from millrace.ports.clock import Clock
from millrace.ports.ledger import HotBatch, HotReadings
from millrace.ports.live import Live

LEASE_S = 1.0
GLANCE_S = 1.0


class Feed:
    """Belongs to the thread of its ports."""

    def __init__(self, hot: HotReadings, live: Live, clock: Clock) -> None:
        self._hot = hot
        self._live = live
        self._clock = clock
        self.is_leading = True
        self._asked_at_s = float("-inf")
        self._glanced_at_s = float("-inf")

    def follow(self, after_id: int, limit: int) -> list[HotBatch]:
        """Return what was committed behind a batch, for whoever follows the ledger.

        Raises:
            RetryError: The ledger is away.
        """
        now_s = self._clock.steady_s()
        if now_s - self._asked_at_s >= LEASE_S:
            self.is_leading = self._live.leads()
            self._asked_at_s = now_s
        if not self.is_leading:
            shared = self._shared(after_id, limit)
            if shared or (shared is not None and now_s - self._glanced_at_s < GLANCE_S):
                return shared
        self._glanced_at_s = now_s
        found = self._hot.hot(after_id, limit)
        self._share(found, after_id)
        return found

    def replay(self, after_id: int, limit: int) -> list[HotBatch]:
        """Return what was committed behind a batch, for whoever resumes there.

        The first may lie further behind, when those before it are sealed. Raises: as `follow`.
        """
        return self._shared(after_id, limit) or self._hot.hot(after_id, limit)

    def _shared(self, after_id: int, limit: int) -> list[HotBatch] | None:
        """Return what the ring has behind a batch, None when it cannot say."""
        try:
            return self._live.since(after_id, limit)
        except (GoneError, RetryError):
            return None

    def _share(self, batches: list[HotBatch], after_id: int) -> None:
        try:
            for batch in batches:
                self._live.publish(batch, after_id)
                after_id = batch.id
        except RetryError:
            return  # the next ones name their place, so a reader sees that these are missing
