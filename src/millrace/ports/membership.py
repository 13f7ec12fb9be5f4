"""Membership: which partitions are this process's share of the work."""

from typing import Protocol


class Membership(Protocol):
    """One of those who share the partitions of a log. Thread-confined."""

    def partitions(self, wait_s: float = 0.0) -> frozenset[int]:
        """Return the partitions that are ours now; wait so long for a change at most.

        Whoever holds partitions asks again every few seconds, between two commits: only then does
        a partition move. What was returned before and is not any more may be another's already.
        Raises:
            StopError: This process may not take part.
        """
        ...

    def close(self) -> None:
        """Leave; a second call does nothing."""
        ...
