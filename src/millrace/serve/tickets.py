"""Tickets: how a page opens a WebSocket without a credential in an address that gets logged.

Source: API-130; attacks A44, A45.
"""

import secrets

from millrace.ports.clock import Clock

VALID_S = 30
MAX_OPEN = 10_000


class Tickets:
    """Tickets that were given out and not used yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, tuple[float, str]] = {}

    def issue(self, principal: str) -> str:
        """Return a ticket for one connection within `VALID_S` seconds."""
        now_s = self._clock.steady_s()
        while self._open:
            oldest = next(iter(self._open))
            if len(self._open) < MAX_OPEN and self._open[oldest][0] > now_s:
                break
            del self._open[oldest]
        ticket = secrets.token_urlsafe(32)
        self._open[ticket] = (now_s + VALID_S, principal)
        return ticket

    def redeem(self, ticket: str) -> str | None:
        """Return the principal of a valid ticket, which is used up by this; else None."""
        until_s, principal = self._open.pop(ticket, (0.0, ""))
        return principal if until_s > self._clock.steady_s() else None
