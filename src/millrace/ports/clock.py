"""The clock, so that tests can turn it."""

from typing import Protocol


class Clock(Protocol):
    """Instants, and a steady count for durations."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds since 1970; may jump when the machine's clock is set."""
        ...

    def steady_s(self) -> float:
        """Return seconds that only ever grow, from an arbitrary start."""
        ...
