"""The same seed, registry, options and start give the same bytes. F2-173, MTR-151, SNS-100."""

from itertools import pairwise

import pytest

from millrace.model.instants import SECOND_NS
from millrace.simulate.f2 import F2Options
from millrace.simulate.f2_words import Speech
from millrace.simulate.faults import Shares
from millrace.simulate.meter import MeterOptions
from millrace.simulate.plan import FAMILIES, Plan, demo
from millrace.simulate.schedule import Schedule
from millrace.simulate.sensors import SensorOptions
from tests.simulate.worlds import MONDAY_NS, drained, known, play, schedule

families = pytest.mark.parametrize("family", FAMILIES)
ALL = Shares(*[0.02] * 7)


@families
@pytest.mark.parametrize("rate", [0.0, 50.0])
@pytest.mark.parametrize("shares", [None, ALL], ids=["well", "ill"])
def test_same_seed_gives_the_same_bytes(family: str, rate: float, shares: Shares | None) -> None:
    plan = steady(family) if rate else Plan(family, 6, seed=5)
    first = play(plan, 120, rate=rate, shares=shares)
    assert len(first) > 40
    assert first == play(plan, 120, rate=rate, shares=shares)


@families
def test_another_seed_gives_other_bytes(family: str) -> None:
    assert play(Plan(family, 6, seed=5), 120) != play(Plan(family, 6, seed=6), 120)


@families
def test_how_time_is_cut_changes_nothing(family: str) -> None:
    """The driver asks more often or less often; devices do not notice."""
    plan = Plan(family, 6, seed=5)
    _, one = schedule(plan, start_ns=MONDAY_NS)
    coarse = drained(one, MONDAY_NS + 300 * SECOND_NS)
    _, other = schedule(plan, start_ns=MONDAY_NS)
    fine = [
        deed for second in range(301) for deed in drained(other, MONDAY_NS + second * SECOND_NS)
    ]
    assert fine == coarse


@families
def test_a_device_does_not_depend_on_the_others(family: str) -> None:
    alone = play(Plan(family, 1, seed=5), 200)
    among = [deed for deed in play(Plan(family, 6, seed=5), 200) if deed[0] == 0]
    assert alone == among


@families
def test_a_steady_rate_is_a_comb(family: str) -> None:
    deeds = play(steady(family), 2, rate=200.0)
    assert len(deeds) == 401
    assert [number for number, _ in deeds[:7]] == [0, 1, 2, 3, 4, 5, 0]
    at = [deed.at_ns for _, deed in deeds]
    assert {after - before for before, after in pairwise(at)} == {5_000_000}


def test_forms_tell_the_same_story() -> None:
    stories = [
        [(number, deed.at_ns) for number, deed in play(Plan("f2", 2, f2=F2Options(speech)), 600)]
        for speech in (Speech.CURRENT, Speech.LEGACY)
    ]
    assert stories[0] == stories[1]


def test_the_demo_repeats_itself_and_moves_at_once() -> None:
    fleets = [demo(known(), 0, MONDAY_NS) for _ in range(2)]
    schedules = [Schedule(devices, seed=0, start_ns=MONDAY_NS) for devices in fleets]
    runs = [drained(one, MONDAY_NS + 10 * SECOND_NS) for one in schedules]
    assert runs[0] == runs[1]
    moving = {number for number, _ in runs[0]}
    assert len(fleets[0]) == 2 + 20 + 3 + 20 + 20
    assert len(moving) > 50


def steady(family: str) -> Plan:
    return Plan(
        family,
        6,
        seed=5,
        f2=F2Options(is_steady=True),
        meter=MeterOptions(is_steady=True),
        sensor=SensorOptions(is_steady=True),
    )
