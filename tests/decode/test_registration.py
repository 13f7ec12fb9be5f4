"""How fast unknown devices get registry rows: REG-104, D-27."""

from millrace.decode.registration import Pace, Registration
from millrace.model.message import RawBatch
from millrace.model.work import Work, gather

S = 1_000_000_000
NOW = 1_772_366_400 * S


def taken(pace: Pace, number: int, at_ns: int, partition: int = 0) -> int:
    return sum(pace.take(partition, at_ns) is not None for _ in range(number))


def test_d27_a_thousand_at_once_then_ten_a_second() -> None:
    pace = Pace()
    assert taken(pace, 1500, NOW) == 1000
    assert taken(pace, 50, NOW + S // 10 - 1) == 0
    assert taken(pace, 50, NOW + S) == 10
    assert taken(pace, 50, NOW + 3 * S) == 20


def test_d27_after_a_quiet_time_a_thousand_again_and_no_more() -> None:
    pace = Pace()
    assert taken(pace, 2000, NOW) == 1000
    assert taken(pace, 2000, NOW + 100 * S) == 1000
    assert taken(pace, 2000, NOW + 5000 * S) == 1000


def test_d27_partitions_share_burst_and_pace() -> None:
    pace = Pace(4)
    assert [taken(pace, 900, NOW, p) for p in range(4)] == [250] * 4
    assert [taken(pace, 900, NOW + 2 * S, p) for p in range(4)] == [5] * 4


def test_d27_a_clock_that_was_set_back_is_believed() -> None:
    pace = Pace()
    assert taken(pace, 2000, NOW) == 1000
    assert taken(pace, 1, NOW - S) == 0, "ingests may differ by that"
    assert taken(pace, 2000, NOW - 86_400 * S) == 1000


def test_d27_what_was_stored_goes_on_exactly() -> None:
    whole = Pace()
    due = [whole.take(0, NOW + n) for n in range(1200)]
    second = Pace()
    second.restore({0: next(d for d in reversed(due[:700]) if d is not None)})
    assert [second.take(0, NOW + n) for n in range(700, 1200)] == due[700:]


def work(*devices: str, partition: int = 0) -> Work:
    batch = RawBatch(partition, 0)
    for device in devices:
        batch.add(f"t/{device}", b"", NOW)
    made = gather([batch], 1)
    made.device_ids = list(devices)
    made.unknown = list(range(len(devices)))
    return made


def test_reg104_a_device_gets_one_row_by_its_first_message_that_may() -> None:
    registration = Registration(pace=Pace(burst=2))
    granted = registration.grant(work("a", "a", "b", "c", "a"))
    assert list(granted) == [0, 2]
    assert granted[2] == NOW + 2 * S // 10


def test_reg104_the_total_ends_registration() -> None:
    registration = Registration(rows_left=3)
    assert list(registration.grant(work("a", "b"))) == [0, 1]
    assert list(registration.grant(work("c", "d", "e"))) == [0]
    assert registration.grant(work("d")) == {}
