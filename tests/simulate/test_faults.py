"""What the switches for misfortunes claim is what happens, message by message. MTR-151, F2-170."""

from collections import Counter, defaultdict
from dataclasses import fields
from itertools import pairwise

import pytest

from millrace.errors import UsageError
from millrace.model.instants import SECOND_NS
from millrace.model.message import DUP
from millrace.simulate.acts import Deed, Message, Restart
from millrace.simulate.f2 import F2Options
from millrace.simulate.f2_words import Speech
from millrace.simulate.faults import Shares
from millrace.simulate.meter import MeterOptions
from millrace.simulate.plan import FAMILIES, Plan
from millrace.simulate.sensors import SensorOptions
from tests.codecs.stage import Stage
from tests.simulate.worlds import (
    CODECS,
    START_NS,
    body,
    controller,
    drained,
    messages,
    play,
    readings,
    schedule,
)

families = pytest.mark.parametrize("family", FAMILIES)
RATE = 100.0
SECONDS = 20


def plan(family: str, speech: Speech = Speech.CURRENT) -> Plan:
    return Plan(
        family,
        4,
        seed=8,
        f2=F2Options(speech, is_steady=True),
        meter=MeterOptions(is_steady=True),
        sensor=SensorOptions(is_steady=True),
    )


def ill(made: Plan, **shares: float) -> tuple[list[tuple[int, Deed]], Counter[str]]:
    """Return the deeds of an unlucky fleet with what was held back at the end, and the counts."""
    _, one = schedule(made, rate=RATE, shares=Shares(**shares))
    deeds = drained(one, START_NS + SECONDS * SECOND_NS)
    deeds += [(number, deed) for number, held in one.flush() for deed in held]
    return deeds, one.counts


def well(made: Plan) -> list[Message]:
    return messages(play(made, SECONDS, rate=RATE))


def by_topic(found: list[Message]) -> dict[str, list[Message]]:
    split = defaultdict(list)
    for message in found:
        split[message.topic.split("/")[2 if message.topic.startswith("sens") else 1]].append(
            message
        )
    return split


@families
def test_gaps_are_messages_that_are_not_sent(family: str) -> None:
    deeds, counts = ill(plan(family), gaps=0.1)
    assert 100 < counts["gaps"] < 300
    lost = Counter(well(plan(family))) - Counter(messages(deeds))
    assert lost.total() == counts["gaps"]
    assert len(deeds) + counts["gaps"] == len(well(plan(family)))


@families
def test_duplicates_are_the_same_bytes_again(family: str) -> None:
    deeds, counts = ill(plan(family), duplicates=0.1)
    found = messages(deeds)
    twice = [(one, two) for one, two in pairwise(found) if two.is_dup]
    assert len(twice) == counts["duplicates"] > 100
    assert all(two._replace(is_dup=False) == one for one, two in twice)
    assert [one for one in found if not one.is_dup] == well(plan(family))


@families
def test_reordered_messages_are_overtaken_by_the_next(family: str) -> None:
    deeds, counts = ill(plan(family), reordered=0.1)
    found = messages(deeds)
    assert sorted(found) == sorted(well(plan(family)))
    overtaken = 0
    for stream in by_topic(found).values():
        ages = [one.at_ns for one in stream]
        overtaken += sum(second < first for first, second in pairwise(ages))
    assert overtaken == counts["reordered"] > 100


@families
def test_late_messages_come_together_and_in_order(family: str) -> None:
    made = plan(family)
    _, one = schedule(made, rate=RATE, shares=Shares(late=0.3))
    late, arrived = 0, []
    for tick in range(SECONDS * int(RATE) + 1):
        now_ns = START_NS + int(tick * SECOND_NS / RATE)
        step = messages(drained(one, now_ns))
        late += sum(message.at_ns < now_ns for message in step)
        arrived += step
    held = messages((number, deed) for number, deeds in one.flush() for deed in deeds)
    assert late + len(held) == one.counts["late"] > 300
    assert by_topic(arrived + held) == by_topic(well(made))


@families
def test_reboots_break_the_connection(family: str) -> None:
    deeds, counts = ill(plan(family), reboots=0.02)
    restarts = [at for at, (_, deed) in enumerate(deeds) if isinstance(deed, Restart)]
    assert len(restarts) == counts["reboots"] > 10
    if family == "meters":
        for at in restarts:
            hello = body(messages(deeds[at + 1 : at + 2])[0])
            assert (hello["msg_type"], hello["seq"], hello["uptime_s"]) == ("hello", 0, 0)


@pytest.mark.parametrize("speech", list(Speech))
@families
def test_garbage_is_a_dead_letter_each(family: str, speech: Speech) -> None:
    made = plan(family, speech)
    deeds, counts = ill(made, garbage=0.1)
    letters: Counter[str] = Counter()
    for number, deed in deeds:
        assert isinstance(deed, Message)
        about = controller() if family == "f2" and number == 0 else None
        result = readings(deed, about)
        if result["dead_letters"]:
            assert not result["readings"]
            letters[result["dead_letters"][0]["reason"]] += 1
    assert letters.total() == counts["garbage"] > 100
    if speech is not Speech.LEGACY or family != "f2":
        assert set(letters) == {"bad_json", "not_utf8", "empty_payload"}


@families
def test_bad_clocks_are_1970_milliseconds_and_hours_off(family: str) -> None:
    deeds, counts = ill(plan(family), bad_clocks=0.1)
    wrong = 0
    for one, other in zip(messages(deeds), well(plan(family)), strict=True):
        name = "ts" if family == "meters" else "timestamp"
        said, right = body(one)[name], body(other)[name]
        wrong += said != right
        if said != right and isinstance(said, str):
            assert said.startswith("1970-01-01") or said[11:13] != right[11:13]
        elif said != right:
            assert said == one.at_ns // 1_000_000
    assert wrong == counts["bad_clocks"] > 100


def test_the_pipeline_sees_what_befell_the_meters() -> None:
    """Sequence tracking counts what was lost and doubled: MTR-053, MTR-055, MTR-057."""
    deeds, counts = ill(plan("meters"), gaps=0.03, duplicates=0.03, reboots=0.01)
    stage = Stage([CODECS["meter"]])
    outcomes: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for message in messages(deeds):
        seen = stage.message(message.topic, message.payload, message.at_ns, flags=2)
        outcomes[seen.outcome] += 1
        events.update(event["type"] for event in seen.events)
    assert outcomes["duplicate"] == counts["duplicates"]
    gaps = sum(
        stage.view(f"{name}", START_NS + SECONDS * SECOND_NS).gap_count
        for name in ("dc-meter-001", "dc-meter-002", "ac-meter-001", "meter-004")
    )
    # What is lost just before a reboot, or at the very end, leaves no hole.
    assert counts["gaps"] - counts["reboots"] - 4 <= gaps <= counts["gaps"]
    assert not outcomes["dead_letter"]


def test_the_pipeline_knows_controllers_duplicates_by_their_flag() -> None:
    """MTR-058."""
    deeds, counts = ill(plan("f2"), duplicates=0.1)
    stage = Stage([CODECS["f2"]])
    kinds = Counter(
        stage.message(m.topic, m.payload, m.at_ns, flags=1 | (DUP if m.is_dup else 0)).kind
        for m in messages(deeds)
    )
    assert kinds["redelivery"] == counts["duplicates"]


def test_without_shares_nothing_is_touched() -> None:
    deeds, counts = ill(plan("meters"))
    assert messages(deeds) == well(plan("meters"))
    assert not counts


def test_natural_pace_suffers_as_well() -> None:
    shares = Shares(*[0.05] * len(fields(Shares)))
    _, one = schedule(Plan("meters", 20, seed=2), shares=shares)
    drained(one, START_NS + 600 * SECOND_NS)
    assert set(one.counts) == {each.name for each in fields(Shares)}


@pytest.mark.parametrize("shares", [Shares(gaps=1.5), Shares(late=-0.1), Shares(0.5, 0.4, 0.3)])
def test_shares_that_are_none_are_refused(shares: Shares) -> None:
    with pytest.raises(UsageError):
        shares.check()
