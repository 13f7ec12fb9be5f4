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


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a reader is behind in one partition. Units: messages; seconds, 0 when not at all."""

    position: int
    messages: int
    oldest_s: float


def lags(
    log: LogReader, accounts: Accounts, reader: str = "process", *, now_ns: int
) -> dict[int, Lag]:
    """Return the lag of a reader by partition.

    Raises:
        RetryError: Log or ledger cannot be read at the moment.
    """
    extents = log.extents()
    found = {}
    for partition, position in accounts.read(reader).positions.items():
        extent = extents[partition]
        oldest_s = 0.0
        if extent.start <= position < extent.end:
            batch = log.read(partition, position, 1)
            if batch is not None:
                oldest_s = max(0.0, (now_ns - batch.received_at_ns[0]) / 1e9)
        # What is committed by now may be beyond the end that was read first.
        found[partition] = Lag(position, max(0, extent.end - position), oldest_s)
    return found


def _received(log: LogReader) -> tuple[Counter[str], Counter[str], int]:
    """Return received and shed by family with the number of messages that they belong to.

    The writer moves notes and what they speak of together; reading until that stands still gives a
    pair that belongs together.
    """
    while True:
        before = log.appended()
        received, shed = _totals(log, RECEIVED), _totals(log, SHED)
        after = log.appended()
        if before == after:
            return received, shed, after


def _totals(log: LogReader, prefix: bytes) -> Counter[str]:
    totals: Counter[str] = Counter()
    for key, value in log.notes(prefix):
        totals[key[len(prefix) :].split(b"/")[0].decode()] += int(value)
    return totals
