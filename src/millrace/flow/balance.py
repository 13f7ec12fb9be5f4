"""The conservation law: received = stored + duplicate + dead_letter + in_flight + shed.

The log knows what was received, the ledger what became of it; each is read as one consistent view.
Because counters move in the same transaction as offsets on either side, the two views need not be
of the same instant: what differs is exactly what is in flight.
Source: MON-030, MON-105, MON-107, P8.
"""

from collections import Counter
from dataclasses import dataclass, field

from millrace.ports.accounts import Accounts
from millrace.ports.log import LogReader

RECEIVED = b"received/"
SHED = b"shed/"


@dataclass(frozen=True, slots=True)
class Balance:
    """Numbers of messages since the data folder was made, by family.

    `lag` is what the log holds beyond the position of the ledger, `difference` what the law does
    not explain; it is 0 unless something was lost or counted twice.
    """

    received: Counter[str] = field(default_factory=Counter)
    stored: Counter[str] = field(default_factory=Counter)
    duplicate: Counter[str] = field(default_factory=Counter)
    dead_letter: Counter[str] = field(default_factory=Counter)
    shed: Counter[str] = field(default_factory=Counter)
    lag: int = 0
    open_letters: int = 0
    devices: int = 0

    @property
    def in_flight(self) -> Counter[str]:
        """Messages in the log that have no outcome yet."""
        rest = Counter(self.received)
        for part in (self.stored, self.duplicate, self.dead_letter, self.shed):
            rest.subtract(part)
        return rest

    @property
    def difference(self) -> int:
        """Messages that the law does not explain."""
        return self.in_flight.total() - self.lag


def balance(log: LogReader, accounts: Accounts) -> Balance:
    """Return the balance of what the log received and what the ledger committed.

    Raises:
        RetryError: One of the two cannot be read at the moment.
    """
    account = accounts.read()
    received, shed, logged = _received(log)
    by_outcome: dict[str, Counter[str]] = {
        name: Counter() for name in ("stored", "duplicate", "dead_letter")
    }
    for (outcome, family, _), number in account.outcomes.items():
        by_outcome[outcome][family] += number
    done = sum(account.positions.values())
    return Balance(
        received=received,
        shed=shed,
        lag=logged - done,
        open_letters=account.open_letters,
        devices=account.devices,
        **by_outcome,
    )


def _received(log: LogReader) -> tuple[Counter[str], Counter[str], int]:
    """Return received and shed by family with the sum of the ends that they belong to.

    The writer moves notes and offsets in one transaction; reading until the ends stand still
    gives a pair that belongs together.
    """
    while True:
        before = sum(extent.end for extent in log.extents())
        received, shed = _totals(log, RECEIVED), _totals(log, SHED)
        after = sum(extent.end for extent in log.extents())
        if before == after:
            return received, shed, after


def _totals(log: LogReader, prefix: bytes) -> Counter[str]:
    totals: Counter[str] = Counter()
    for key, value in log.notes(prefix):
        totals[key[len(prefix) :].split(b"/")[0].decode()] += int(value)
    return totals
