"""Waiting after failures: longer and longer, with jitter, bounded. Source: F15, F22."""

from random import Random

from structlog.testing import capture_logs

from millrace.errors import RetryError
from millrace.flow.backoff import Backoff

ERROR = RetryError("away")


def test_delays_grow_to_a_bound_with_jitter() -> None:
    backoff = Backoff(first_s=0.1, most_s=5.0, rng=Random(1))
    delays = [backoff.failed(ERROR) for _ in range(200)]
    assert all(0.1 <= delay <= 5.0 for delay in delays)
    assert delays[0] <= 0.2
    assert delays[1] <= 0.4
    late = delays[10:]
    assert max(late) > 4
    assert len(set(late)) == len(late), "everybody would come back at once"


def test_a_success_begins_again() -> None:
    backoff = Backoff(first_s=0.1, most_s=5.0, rng=Random(1))
    for _ in range(50):
        backoff.failed(ERROR)
    backoff.succeeded()
    assert backoff.failures == 0
    assert backoff.failed(ERROR) <= 0.2


def test_thousands_of_failures_overflow_nothing() -> None:
    backoff = Backoff()
    for _ in range(5_000):
        assert backoff.failed(ERROR) <= 5.0


def test_only_the_first_failure_and_the_return_are_said() -> None:
    backoff = Backoff()
    with capture_logs() as lines:
        for _ in range(9):
            backoff.failed(ERROR)
        backoff.succeeded()
        backoff.succeeded()
    assert [line["event"] for line in lines] == ["waiting_for_outside", "outside_is_back"]
    assert lines[1]["failures"] == 9
