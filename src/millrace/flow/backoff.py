"""How long to wait after a failure: exponentially longer, with jitter, up to a bound.

Source: reliability.md F15, F22.
"""

from random import Random

import structlog

_log = structlog.get_logger("millrace.backoff")


class Backoff:
    """Delays for one thing that may be away.

    Units: seconds. `rng` makes the jitter repeatable in tests.
    """

    def __init__(
        self, *, first_s: float = 0.05, most_s: float = 5.0, rng: Random | None = None
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._rng = rng or Random()  # noqa: S311 - jitter, not a secret
        self.failures = 0

    def failed(self, error: Exception) -> float:
        """Return the seconds to wait after one more failure; say the first one."""
        if not self.failures:
            _log.warning("waiting_for_outside", error=str(error))
        self.failures += 1
        ceiling = min(self._most_s, self._first_s * 2 ** min(self.failures, 16))
        return self._rng.uniform(self._first_s, ceiling)

    def succeeded(self) -> None:
        """Begin again with the shortest delay."""
        if self.failures:
            _log.info("outside_is_back", failures=self.failures)
        self.failures = 0
