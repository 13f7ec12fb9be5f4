"""When frames may go: so many a second, and none waits because the one before it was late.

What follows a source of nearly the same beat would otherwise miss its turn again and again.
Source: D-33, API-132; B5.
"""


class Beat:
    """Turns `every_s` apart; one that is up to `slack_s` late does not put off the next."""

    def __init__(self, every_s: float, slack_s: float) -> None:
        self._every_s = every_s
        self._least_s = every_s - slack_s
        self._next_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """Return how long it is until the next turn, 0 when it has come."""
        return max(0.0, self._next_s - now_s)

    def strike(self, now_s: float) -> None:
        """Take the turn."""
        self._next_s = max(self._next_s + self._every_s, now_s + self._least_s)
