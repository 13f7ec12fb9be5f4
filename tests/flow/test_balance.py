"""The conservation law between log and ledger. Source: MON-030, MON-105, MON-107, P8."""

from collections.abc import Mapping

import pytest

from millrace.adapters.log_memory import MemoryLog
from millrace.flow.balance import Balance, Lag, balance, lags
from millrace.model.message import RawBatch
from millrace.ports.accounts import Account
from millrace.ports.log import Extent, Note


class Books:
    """Accounts that say what a test says."""

    def __init__(self, outcomes: Mapping[tuple[str, str, str], int], done: int) -> None:
        self._account = Account(dict(outcomes), {0: done}, 2, 3)

    def read(self, reader: str = "process") -> Account:
        return self._account

    def needed(self) -> dict[int, int]:
        return {}

    def close(self) -> None:
        """Nothing to release."""


def log_with(messages: int, shed: int = 0) -> MemoryLog:
    log = MemoryLog(partitions=2)
    batch = RawBatch(0)
    for _ in range(messages):
        batch.add("iot/m/telemetry", b"{}", 1)
    notes = [Note(b"received/meter/telemetry/mqtt/own", b"%d" % (messages + shed))]
    if shed:
        notes.append(Note(b"shed/meter/telemetry/mqtt/own", b"%d" % shed))
    log.append([batch], notes)
    return log


OUTCOMES = {
    ("stored", "meter", "telemetry"): 4,
    ("stored", "meter", "hello"): 1,
    ("duplicate", "meter", "seq"): 2,
    ("dead_letter", "meter", "bad_json"): 1,
}


def test_mon030_everything_has_an_outcome() -> None:
    result = balance(log_with(8), Books(OUTCOMES, done=8))
    assert (result.received["meter"], result.stored["meter"]) == (8, 5)
    assert (result.duplicate["meter"], result.dead_letter["meter"]) == (2, 1)
    assert (result.lag, result.difference, result.in_flight.total()) == (0, 0, 0)
    assert (result.open_letters, result.devices) == (2, 3)


def test_mon105_what_waits_is_in_flight_and_no_difference() -> None:
    result = balance(log_with(11), Books(OUTCOMES, done=8))
    assert (result.lag, result.in_flight["meter"], result.difference) == (3, 3, 0)


def test_mon106_what_was_shed_is_received_and_accounted_for() -> None:
    result = balance(log_with(8, shed=5), Books(OUTCOMES, done=8))
    assert (result.received["meter"], result.shed["meter"], result.difference) == (13, 5, 0)


@pytest.mark.parametrize(("missing", "difference"), [(-1, 1), (1, -1)])
def test_mon107_what_was_lost_or_counted_twice_is_a_difference(
    missing: int, difference: int
) -> None:
    outcomes = {**OUTCOMES, ("stored", "meter", "hello"): 1 + missing}
    assert balance(log_with(8), Books(outcomes, done=8)).difference == difference


def test_mon030_families_and_links_are_added_up() -> None:
    log = MemoryLog(partitions=1)
    keys = ("meter/telemetry/mqtt/own", "meter/hello/mqtt/other:1883", "f2/stat/mqtt/own")
    log.append([], [Note(f"received/{key}".encode(), b"7") for key in keys])
    result = balance(log, Books({}, done=0))
    assert result.received == {"meter": 14, "f2": 7}


class Moving(MemoryLog):
    """A log that is written to while it is read."""

    appends = 3

    def extents(self) -> list[Extent]:
        found = super().extents()
        if self.appends:
            self.appends -= 1
            batch = RawBatch(0)
            batch.add("iot/m/telemetry", b"{}", 1)
            end = found[0].end + 1
            self.append([batch], [Note(b"received/meter/telemetry/mqtt/own", b"%d" % end)])
        return found


def test_mon030_received_and_ends_are_of_one_moment() -> None:
    result = balance(Moving(partitions=1), Books({}, done=0))
    assert (result.received["meter"], result.lag, result.difference) == (3, 3, 0)


def test_an_empty_balance_is_balanced() -> None:
    assert Balance().difference == 0


def test_mon_119_lag_by_partition_with_the_age_of_the_oldest() -> None:
    log = MemoryLog(partitions=2)
    batch = RawBatch(0)
    for second in range(4):
        batch.add("iot/m/telemetry", b"{}", second * 10**9)
    log.append([batch])
    assert lags(log, Books({}, 1), now_ns=6 * 10**9) == {0: Lag(1, 3, 5.0)}
    assert lags(log, Books({}, 4), now_ns=6 * 10**9) == {0: Lag(4, 0, 0.0)}
