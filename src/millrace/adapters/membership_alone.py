"""Nobody to share with: all partitions are ours, always."""


class AloneMembership:
    """`ports.membership.Membership` of a log that one process reads."""

    def __init__(self, partitions: int) -> None:
        self._all = frozenset(range(partitions))

    def partitions(self, wait_s: float = 0.0) -> frozenset[int]:
        return self._all

    def close(self) -> None:
        """Do nothing."""
