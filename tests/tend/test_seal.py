"""When hot batches are sealed, and that they are forgotten only then (D-30)."""

from dataclasses import replace

import pyarrow as pa
import pytest

from millrace.errors import RetryError, StopError
from millrace.tend.seal import Sealer, SealLimits
from tests.contracts.hot_memory import DAY_NS, SECOND_NS, START_NS, MemoryHot, Row, rows_of

LIMITS = SealLimits(rows=100, age_ns=300 * SECOND_NS, batches=20)


class ListedSeries:
    """A history that keeps what it was given, and may be away."""

    def __init__(self) -> None:
        self.seals: list[tuple[list[Row], int]] = []
        self.is_away = False

    def sealed_through(self) -> int:
        return self.seals[-1][1] if self.seals else 0

    def seal(self, rows: pa.Table, last_batch_id: int) -> None:
        if self.is_away:
            raise RetryError("away")
        self.seals.append((rows_of(rows), last_batch_id))

    def compact(self, now_ns: int) -> int:
        return 0

    def retire(self, before_ns: int) -> int:
        return 0

    def vacuum(self, now_ns: int) -> int:
        return 0


class Rig:
    def __init__(self) -> None:
        self.hot = MemoryHot()
        self.series = ListedSeries()
        self.sealer = Sealer(self.hot, self.series, LIMITS)

    def commit(self, rows: int, at_ns: int = START_NS) -> None:
        number = self.hot.newest
        self.hot.commit([(n, START_NS, float(number), 0, 1) for n in range(rows)], at_ns)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return [(len(rows), last) for rows, last in self.series.seals]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_d30_nothing_is_sealed_before_it_is_due(rig: Rig) -> None:
    assert rig.sealer.run_once(START_NS) == 0
    for _ in range(19):
        rig.commit(5)
    assert rig.sealer.run_once(START_NS + 299 * SECOND_NS) == 0
    assert rig.sizes == []
    assert rig.sealer.waiting_rows == 95
    assert len(rig.hot.batches) == 19


def test_d30_a_seal_is_due_by_number_of_readings(rig: Rig) -> None:
    for _ in range(5):
        rig.commit(30)
    assert rig.sealer.run_once(START_NS) == 150
    assert rig.sizes == [(150, 5)]
    assert rig.hot.batches == []


def test_d30_a_seal_is_due_by_age(rig: Rig) -> None:
    rig.commit(3)
    rig.commit(2, START_NS + 200 * SECOND_NS)
    assert rig.sealer.run_once(START_NS + 300 * SECOND_NS) == 5
    assert rig.sizes == [(5, 2)]


def test_d30_a_seal_is_due_by_number_of_batches(rig: Rig) -> None:
    for _ in range(47):
        rig.commit(1)
    assert rig.sealer.run_once(START_NS) == 40
    assert rig.sizes == [(20, 20), (20, 40)]
    assert [batch.id for batch in rig.hot.batches] == list(range(41, 48))
    assert rig.sealer.run_once(START_NS, flush=True) == 7
    assert rig.sizes[-1] == (7, 47)


def test_d12_rows_are_sealed_in_the_order_of_commits(rig: Rig) -> None:
    for _ in range(3):
        rig.commit(2)
    rig.sealer.run_once(START_NS, flush=True)
    rows, _ = rig.series.seals[0]
    assert [row[2] for row in rows] == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]


def test_f12_what_could_not_be_sealed_is_kept_and_sealed_later(rig: Rig) -> None:
    rig.commit(120)
    rig.series.is_away = True
    for _ in range(3):
        with pytest.raises(RetryError):
            rig.sealer.run_once(START_NS)
    assert len(rig.hot.batches) == 1
    rig.series.is_away = False
    assert rig.sealer.run_once(START_NS) == 120
    assert rig.sizes == [(120, 1)]


def test_what_the_ledger_holds_back_is_forgotten_later(rig: Rig) -> None:
    for _ in range(20):
        rig.commit(1)
    rig.hot.held_from = 11
    assert rig.sealer.run_once(START_NS) == 20
    assert [batch.id for batch in rig.hot.batches] == list(range(11, 21))
    rig.hot.held_from = None
    assert rig.sealer.run_once(START_NS) == 0
    assert rig.hot.batches == []


def test_f4_what_is_already_sealed_is_forgotten_at_the_start(rig: Rig) -> None:
    for _ in range(450):
        rig.commit(1)
    rig.series.seals.append(([], 449))
    assert rig.sealer.run_once(START_NS) == 0
    assert [batch.id for batch in rig.hot.batches] == [450]
    assert rig.sealer.run_once(START_NS + DAY_NS) == 1
    assert rig.sizes == [(0, 449), (1, 450)]


def test_f9_a_batch_with_fewer_readings_than_were_counted_is_not_sealed(rig: Rig) -> None:
    rig.commit(30)
    rig.commit(80)
    rig.hot.batches[1] = replace(rig.hot.batches[1], rows=81)
    with pytest.raises(StopError, match="hot batch 2 has 80 readings where 81 are counted"):
        rig.sealer.run_once(START_NS)
    assert rig.sizes == []
    assert len(rig.hot.batches) == 2


def test_d31_what_is_sealed_stays_until_readers_have_looked() -> None:
    rig = Rig()
    rig.sealer = Sealer(rig.hot, rig.series, replace(LIMITS, forget_after_ns=10 * SECOND_NS))
    for second in range(0, 30, 4):
        rig.commit(100)
        rig.sealer.run_once(START_NS + second * SECOND_NS)
    assert rig.series.sealed_through() == 8
    # The fifth was sealed at 16 s, the sixth at 20 s; now it is 28 s.
    assert [batch.id for batch in rig.hot.hot(0)] == [6, 7, 8]
    rig.sealer.run_once(START_NS + 60 * SECOND_NS)
    assert rig.hot.hot(0) == []
    rig.commit(100)
    rig.sealer.run_once(START_NS + 60 * SECOND_NS)
    again = Sealer(rig.hot, rig.series, replace(LIMITS, forget_after_ns=10 * SECOND_NS))
    again.run_once(START_NS + 61 * SECOND_NS)
    assert len(rig.hot.hot(0)) == 1
    again.run_once(START_NS + 71 * SECOND_NS)
    assert rig.hot.hot(0) == []


def test_d28_what_another_reader_has_not_copied_is_not_forgotten() -> None:
    rig, copied = Rig(), [0]
    rig.sealer = Sealer(rig.hot, rig.series, LIMITS, lambda: copied[0])
    for _ in range(3):
        rig.commit(100)
        rig.sealer.run_once(START_NS)
    assert rig.series.sealed_through() == 3
    assert [batch.id for batch in rig.hot.hot(0)] == [1, 2, 3]
    copied[0] = 2
    rig.sealer.run_once(START_NS)
    assert [batch.id for batch in rig.hot.hot(0)] == [3]
    copied[0] = 9
    rig.sealer.run_once(START_NS)
    assert rig.hot.hot(0) == []
