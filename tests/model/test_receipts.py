"""Instants of receipt are distinct, close to the clock, and believe a clock that is set."""

from hypothesis import given
from hypothesis import strategies as st

from millrace.model.message import MAX_AHEAD_NS, SPACING_NS, Receipts

NOW_NS = 1_772_366_400_000_000_000


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 70)), min_size=1, max_size=30))
def test_stamps_grow_and_never_fall_behind(reads: list[tuple[int, int]]) -> None:
    receipts, now_ns, seen = Receipts(), NOW_NS, [0]
    for passed_ns, count in reads:
        now_ns += passed_ns
        stamps = receipts.stamp(now_ns, count)
        assert len(stamps) == count
        assert stamps[0] >= max(now_ns, seen[-1] + SPACING_NS)
        seen += stamps
    assert len(set(seen)) == len(seen)


def test_f32_clock_that_is_set_back_is_believed() -> None:
    receipts = Receipts()
    receipts.stamp(NOW_NS, 1)
    earlier = NOW_NS - 2 * MAX_AHEAD_NS
    assert receipts.stamp(earlier, 1)[0] == earlier
