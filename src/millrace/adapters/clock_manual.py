"""A clock that stands still until it is turned."""


class ManualClock:
    """See `ports.clock.Clock`; both hands move together."""

    def __init__(self, now_ns: int = 1_772_366_400_000_000_000) -> None:
        self._now_ns = now_ns
        self._steady_s = 0.0

    def now_ns(self) -> int:
        return self._now_ns

    def steady_s(self) -> float:
        return self._steady_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_ns += int(seconds * 1e9)
        self._steady_s += seconds
