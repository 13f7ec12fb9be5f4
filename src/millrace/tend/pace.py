"""When background work may have the processor: not while messages pour in or wait for the pump.

What is not archived yet is in the log, which keeps it. So a burst belongs to the pump, and the
archive catches up in the quiet after it; if no quiet comes, it goes on all the same.
Source: D-28, performance.md B1.
"""

from collections.abc import Callable

from millrace.ports.clock import Clock
from millrace.ports.log import LogReader

_SECOND_NS = 1_000_000_000
_LONGEST_WORK_S = 0.2


class EndedError(Exception):
    """Work was told to end half way; what is half done is done again at the next start."""


class Pace:
    """Looks at how fast the log grows, and how far the pump is behind.

    Units: messages a second, messages, seconds. `decided` returns the offset of a partition up to
    which every message has its outcome.
    """

    def __init__(
        self,
        log: LogReader,
        decided: Callable[[int], int],
        *,
        busy_per_s: float = 20_000,
        behind: int = 20_000,
        patience_s: float = 1_800,
    ) -> None:
        self._log = log
        self._decided = decided
        self._behind = behind
        self._busy_per_s = busy_per_s
        self._patience_ns = int(patience_s * _SECOND_NS)
        self._looked_ns = 0
        self._end = 0
        self._held_since_ns = 0

    def may_work(self, now_ns: int) -> bool:
        """Say whether heavy work may run; asked at regular intervals."""
        end = sum(extent.end for extent in self._log.extents())
        passed_s = (now_ns - self._looked_ns) / _SECOND_NS
        is_growing = passed_s > 0 and (end - self._end) / passed_s > self._busy_per_s
        is_busy = is_growing or self.is_pump_behind()
        is_first_look = not self._looked_ns
        self._looked_ns, self._end = now_ns, end
        if is_first_look or not is_busy:
            self._held_since_ns = 0
            return not is_first_look
        if not self._held_since_ns:
            self._held_since_ns = now_ns
        return now_ns - self._held_since_ns > self._patience_ns

    def is_pump_behind(self) -> bool:
        """Say whether so many messages wait for their outcome that work should stop half way."""
        extents = enumerate(self._log.extents())
        waiting = (extent.end - self._decided(partition) for partition, extent in extents)
        return sum(waiting) > self._behind


class Breather:
    """Keeps a worker to its share of the time, so that a thread beside it gets the interpreter.

    `sleep` takes seconds; it may end early. Where work `is_over`, there is no way back into it.
    """

    def __init__(
        self,
        clock: Clock,
        sleep: Callable[[float], object],
        *,
        share: float = 0.25,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._is_over = is_over
        self._rest = 1 / share - 1
        self._woke_s = clock.steady_s()

    def __call__(self) -> None:
        """Rest for as long as the work since the last rest has earned.

        Raises:
            EndedError: The work is over.
        """
        worked_s = min(self._clock.steady_s() - self._woke_s, _LONGEST_WORK_S)
        self._sleep(worked_s * self._rest)
        if self._is_over():
            raise EndedError
        self._woke_s = self._clock.steady_s()
