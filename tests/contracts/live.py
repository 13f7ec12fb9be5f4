"""What `ports.live.Live` means; every adapter passes the same suite.

The adapter under test is empty, keeps `SPAN_S` seconds and about `BUDGET_BATCHES` batches of
`SIZE_BYTES` bytes.
"""

import pytest

from millrace.errors import GoneError
from millrace.ports.ledger import HotBatch
from millrace.ports.live import Live

SECOND_NS = 1_000_000_000
SPAN_S = 60
SIZE_BYTES = 1000
BUDGET_BATCHES = 200


def batch(number: int, at_s: float = 0, size: int = SIZE_BYTES) -> HotBatch:
    return HotBatch(number, int(at_s * SECOND_NS), 3, bytes([number % 251]) * size)


def ids(found: list[HotBatch]) -> list[int]:
    return [one.id for one in found]


def fill(live: Live, first: int, last: int) -> None:
    for number in range(first, last + 1):
        live.publish(batch(number), number - 1)


class LiveContract:
    """Subclasses give the fixture `live`."""

    def test_batches_come_back_whole_and_in_order(self, live: Live) -> None:
        fill(live, 7, 9)
        assert live.since(6) == [batch(7), batch(8), batch(9)]
        assert live.since(8) == [batch(9)]
        assert live.since(6, limit=2) == [batch(7), batch(8)]

    def test_nothing_yet_is_no_error(self, live: Live) -> None:
        assert live.since(0) == []
        assert live.since(5) == []
        fill(live, 1, 3)
        assert live.since(3) == []
        assert live.since(50) == []

    def test_what_is_there_or_older_is_ignored(self, live: Live) -> None:
        fill(live, 7, 8)
        live.publish(HotBatch(8, 0, 1, b"other"), 7)
        live.publish(batch(3), 2)
        assert live.since(6) == [batch(7), batch(8)]

    def test_ids_may_leave_numbers_out(self, live: Live) -> None:
        live.publish(batch(7), 4)
        live.publish(batch(12), 7)
        assert ids(live.since(4)) == [7, 12]

    def test_what_came_before_the_first_is_missed_aloud(self, live: Live) -> None:
        fill(live, 7, 9)
        with pytest.raises(GoneError):
            live.since(5)

    def test_d_33_a_batch_that_never_came_is_missed_aloud(self, live: Live) -> None:
        fill(live, 1, 3)
        live.publish(batch(6), 5)
        assert ids(live.since(5)) == [6]
        with pytest.raises(GoneError):
            live.since(3)

    def test_d_33_what_is_older_than_a_minute_falls_out(self, live: Live) -> None:
        for number in range(1, 100):
            live.publish(batch(number, at_s=number), number - 1)
        assert ids(live.since(99 - SPAN_S))[0] == 99 - SPAN_S + 1
        with pytest.raises(GoneError):
            live.since(99 - SPAN_S - 2)

    def test_a_budget_holds_but_the_newest_stays(self, live: Live) -> None:
        fill(live, 1, 2 * BUDGET_BATCHES)
        with pytest.raises(GoneError):
            live.since(BUDGET_BATCHES // 2)
        assert len(live.since(2 * BUDGET_BATCHES - 50)) == 50
        live.publish(batch(1000, size=2 * SIZE_BYTES * BUDGET_BATCHES), 2 * BUDGET_BATCHES)
        assert ids(live.since(2 * BUDGET_BATCHES)) == [1000]

    def test_who_is_alone_leads(self, live: Live) -> None:
        assert live.leads()
        assert live.leads()
