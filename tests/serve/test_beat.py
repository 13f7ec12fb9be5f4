"""The beat of live frames."""

from itertools import pairwise

import pytest

from millrace.serve.beat import Beat


def turns(arrivals_s: list[float], beat: Beat) -> list[float]:
    """Return when each arrival is told."""
    told = []
    for at_s in arrivals_s:
        told_s = at_s + beat.wait_s(at_s)
        beat.strike(told_s)
        told.append(told_s)
    return told


def test_what_comes_after_a_pause_is_told_at_once() -> None:
    assert turns([3.0, 10.0], Beat(0.1, 0.02)) == [3.0, 10.0]


def test_d33_there_are_ten_turns_a_second_in_the_long_run() -> None:
    told = turns([number / 1000 for number in range(0, 5000, 7)], Beat(0.1, 0.02))
    gaps = [later - earlier for earlier, later in pairwise(told)]
    assert min(gaps) >= 0.08 - 1e-9
    # Those that come more often than they may be told wait longer and longer: here none is merged.
    assert (told[-1] - told[0]) / len(gaps) == pytest.approx(0.1, abs=0.001)


def test_b5_a_source_of_nearly_the_same_beat_does_not_miss_its_turn() -> None:
    arrivals = [number * 0.1 + (0.015 if number % 2 else 0.0) for number in range(100)]
    told = turns(arrivals, Beat(0.1, 0.02))
    waits = [told_s - at_s for told_s, at_s in zip(told, arrivals, strict=True)]
    assert max(waits) <= 0.015 + 1e-9
