"""The checks of the bench find what they are there for."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench.checks import CheckError, Expected, check_books, check_readings
from bench.fleet import add_f2, add_meters
from bench.raw_log import write_raw_log
from bench.sources import SECOND_NS, f2_expected, meter_expected
from millrace.flow.balance import Balance
from millrace.settings import Settings
from millrace.wiring.inner import core_metrics, pump_opener
from millrace.wiring.setup import prepare

DEVICES, EACH = 3, 40
GOOD = Balance(
    received=Counter({"f2": 120}),
    stored=Counter({"f2": 120}),
)


def carry(settings: Settings, source: str) -> None:
    """Write messages and carry them into the ledger, without any process."""
    write_raw_log(settings, source, devices=DEVICES, each=EACH)
    with pump_opener(settings, core_metrics())(range(settings.log.partitions)) as pump:
        assert pump.drain() == DEVICES * EACH


@pytest.fixture(scope="module")
def f2(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(data=tmp_path_factory.mktemp("f2") / "data")
    prepare(settings, demo=True)
    add_f2(settings, DEVICES)
    carry(settings, "f2")
    return settings


def test_f2_readings_are_what_the_source_says(f2: Settings) -> None:
    expected = f2_expected(DEVICES, EACH)
    assert check_readings(f2, expected, every_ns=SECOND_NS) == 3 * DEVICES * EACH


def test_meter_readings_are_what_the_source_says(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    prepare(settings)
    add_meters(settings, DEVICES)
    carry(settings, "meter")
    expected = meter_expected(DEVICES, EACH)
    assert check_readings(settings, expected, every_ns=SECOND_NS) == 20 * DEVICES * EACH


@pytest.mark.parametrize(
    ("changed", "every_ns", "why"),
    [
        ({"CO2": Expected(DEVICES + 1, EACH, 0.0)}, SECOND_NS, "CO2: 3 series of 4"),
        ({"CO2": Expected(DEVICES, EACH + 1, 0.0)}, SECOND_NS, "40 to 40 readings, not 41"),
        ({"CO2": Expected(DEVICES, EACH, 1.0)}, SECOND_NS, "the sum is"),
        ({"CO2": Expected(DEVICES, EACH, 1.0)}, 2 * SECOND_NS, "instants are missing"),
        ({"Noise": Expected(DEVICES, EACH, 1.0)}, None, "Noise: 0 series of 3"),
    ],
)
def test_wrong_readings_are_found(
    f2: Settings, changed: dict[str, Expected], every_ns: int | None, why: str
) -> None:
    with pytest.raises(CheckError, match=why):
        check_readings(f2, changed, every_ns=every_ns)


def test_good_books_pass() -> None:
    check_books(GOOD, {"f2": 120})


@pytest.mark.parametrize(
    ("books", "why"),
    [
        (replace(GOOD, stored=Counter({"f2": 119})), "f2: 119 stored, not 120"),
        (replace(GOOD, received=Counter({"f2": 121})), "f2: 121 received, not 120"),
        (replace(GOOD, duplicate=Counter({"f2": 1})), "f2: 1 duplicates, not 0"),
        (replace(GOOD, dead_letter=Counter({"f2": 1})), "f2: 1 dead letters, not 0"),
        (replace(GOOD, received=Counter({"f2": 120, "generic": 1})), "another family"),
        (replace(GOOD, lag=2), "2 messages are not committed"),
        (replace(GOOD, shed=Counter({"f2": 1})), "do not balance"),
        (replace(GOOD, open_letters=1), "1 dead letters"),
    ],
)
def test_wrong_books_are_found(books: Balance, why: str) -> None:
    with pytest.raises(CheckError, match=why):
        check_books(books, {"f2": 120})
