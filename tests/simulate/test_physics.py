"""Values stay where the documents say, and behave like the world. SNS-100, MTR-150, F2-172."""

from collections import Counter, defaultdict
from itertools import pairwise
from math import cos, hypot, pi, sin
from random import Random
from statistics import fmean

import pytest

from millrace.model.instants import SECOND_NS
from millrace.simulate.f2 import F2Options
from millrace.simulate.meter import MeterOptions
from millrace.simulate.physics import Day, Track, Walk, dew_point, poisson
from millrace.simulate.plan import Plan
from millrace.simulate.sensors import SensorOptions
from tests.simulate.worlds import (
    HOUR_NS,
    MONDAY_NS,
    START_NS,
    body,
    controller,
    fleet,
    messages,
    play,
    readings,
    values,
)


def measured(kind: int, interval_s: float, hours: float) -> list[dict[str, float]]:
    """Return the data of one sensor (0 temperature, 1 humidity, 2 motion, 3 gps), with `t`."""
    options = SensorOptions(interval_s=interval_s, is_steady=True)
    sensor = fleet(Plan("sensors", 4, seed=4, sensor=options))[kind]
    step_ns = int(interval_s * SECOND_NS)
    emitted = [sensor.emit(START_NS + n * step_ns) for n in range(int(hours * 3600 / interval_s))]
    return [
        {**body(one)["data"], **body(one)["metadata"], "t": one.at_ns / SECOND_NS}
        for one in emitted
    ]


def test_temperature_follows_its_formula() -> None:
    for one in measured(0, 30, 12):
        middle = 22 + 5 * sin(one["t"] / 3600)
        assert abs(one["temperature_celsius"] - middle) <= 2.01
        expected = one["temperature_celsius"] * 9 / 5 + 32
        assert one["temperature_fahrenheit"] == pytest.approx(expected, abs=0.006)
        assert 20 <= one["battery_level"] <= 100
        assert -80 <= one["signal_strength"] <= -30


def test_humidity_follows_its_formula_and_the_dew_point_is_below() -> None:
    for one in measured(1, 60, 24):
        middle = 45 + 10 * sin(one["t"] / 43_200)
        assert abs(one["humidity_percent"] - middle) <= 5.01
        assert one["dew_point"] < 22 + 5 * sin(one["t"] / 3600)
    assert dew_point(20, 50) == pytest.approx(9.26, abs=0.02)
    assert dew_point(25, 100) == pytest.approx(25)


def test_motion_is_a_fifth_on_average_and_more_by_day() -> None:
    found = measured(2, 10, 24 * 7)
    assert fmean(one["count"] for one in found) == pytest.approx(0.2, abs=0.01)
    assert all(one["motion"] == (one["count"] > 0) for one in found)
    by_hour = defaultdict(list)
    for one in found:
        by_hour[int(one["t"] // 3600 % 24)].append(one["count"])
    assert fmean(by_hour[11]) > 2 * fmean(by_hour[3])


def test_a_van_drives_a_closed_round_at_the_speed_it_says() -> None:
    track = Track(Random(1), 52.52, 13.405)
    period_ns = int(track._period_s * SECOND_NS)
    assert track.place(0) == pytest.approx(track.place(period_ns), abs=1e-6)
    for one, two in pairwise(measured(3, 5, 0.5)):
        north_m = (two["latitude"] - one["latitude"]) * 111_320
        east_m = (two["longitude"] - one["longitude"]) * 111_320 * cos(52.52 * pi / 180)
        assert hypot(north_m, east_m) / 5 == pytest.approx(one["speed_mps"], abs=0.5)
        assert 0 < one["speed_mps"] < 30


def test_anomalies_are_a_share_that_alerts() -> None:
    options = SensorOptions(interval_s=10, is_steady=True, anomalies=0.1)
    sensor = fleet(Plan("sensors", 1, seed=4, sensor=options))[0]
    celsius = [
        body(sensor.emit(START_NS + n * SECOND_NS))["data"]["temperature_celsius"]
        for n in range(2000)
    ]
    assert sum(one > 30 for one in celsius) == pytest.approx(200, abs=50)


def test_meters_stay_in_their_ranges_and_brake() -> None:
    options = MeterOptions(send_interval_s=10)
    found = defaultdict(list)
    for message in messages(play(Plan("meters", 3, meter=options), 3600)):
        for one in body(message)["measurements"]:
            found[one["type"]].append(one["val"])
    bounds = {
        "voltage_dc": (700, 800),
        "voltage_ac": (24_000, 26_000),
        "current_ac": (100, 200),
        "frequency": (49.9, 50.1),
        "pf": (0.92, 0.99),
    }
    for metric, (low, high) in bounds.items():
        assert low <= min(found[metric]) < max(found[metric]) <= high
    currents = found["current_dc"]
    assert all(200 <= abs(one) <= 400 for one in currents)
    assert 0.05 < sum(one < 0 for one in currents) / len(currents) < 0.4
    assert {len(str(one).split(".")[1]) for one in currents} == {1}


def test_instruments_measure_regularly_and_within_their_units() -> None:
    """F2-172."""
    plan = Plan("f2", 1, f2=F2Options(interval_s=30))
    frames = [m for m in messages(play(plan, 3600)) if m.topic.endswith("J2/sensor-6")]
    assert {b.at_ns - a.at_ns for a, b in pairwise(frames)} == {30 * SECOND_NS}
    found = [values(readings(frame, controller())) for frame in frames]
    for metric, low, high in (("Temperature", 15, 30), ("Humidity", 30, 70), ("CO2", 400, 1500)):
        series = [one[metric, ""] for one in found]
        assert low <= min(series) < max(series) <= high
        assert all(abs(b - a) <= (high - low) / 39 for a, b in pairwise(series))


def test_people_come_by_day() -> None:
    """F2-170: doors about every minute, open 5 to 30 s, after a button of 1 to 2 s."""
    plan = Plan("f2", 1, seed=3)
    found = messages(play(plan, 24 * 3600, start_ns=MONDAY_NS - 12 * HOUR_NS))
    hours = Counter(m.at_ns // HOUR_NS % 24 for m in found if m.topic.endswith("door-sensors"))
    assert 80 < hours[10] < 160
    assert hours[1] < hours[10] / 2
    opened: dict[str, int] = {}
    before: dict[str, bool] = {}
    for message in (m for m in found if m.topic.endswith(("door-sensors", "exit-buttons"))):
        for name, is_on in body(message).items():
            if name == "timestamp" or before.get(name, False) == is_on:
                continue
            before[name] = is_on
            if is_on:
                opened[name] = message.at_ns
                continue
            span_s = (message.at_ns - opened[name]) / SECOND_NS
            low, high = (5, 30) if name.startswith("door") else (1, 2)
            assert low <= span_s <= high


def test_strikes_and_readers_live_by_themselves() -> None:
    found = messages(play(Plan("f2", 1, seed=3), 3600, start_ns=MONDAY_NS))
    strikes = [m for m in found if m.topic.endswith("strike-1")]
    assert 15 * 2 <= len(strikes) <= 50 * 2
    spans = [
        (b.at_ns - a.at_ns) / SECOND_NS for a, b in pairwise(strikes) if body(a)["status"] is True
    ]
    assert all(3 <= span <= 7 for span in spans)
    assert 20 <= sum("reader-2" in m.topic for m in found) <= 65
    assert not any("siren" in m.topic for m in found)


def test_walks_turn_at_their_bounds() -> None:
    walk = Walk(Random(1), 2, 3)
    series = [walk.next() for _ in range(5000)]
    assert 2 <= min(series) < 2.1
    assert 2.9 < max(series) <= 3


def test_chance_and_days() -> None:
    rng = Random(1)
    assert fmean(poisson(rng, 3.0) for _ in range(5000)) == pytest.approx(3, abs=0.1)
    day = Day(MONDAY_NS)
    week = [day.activity(START_NS + n * HOUR_NS) for n in range(168)]
    assert fmean(week) == pytest.approx(0.563, abs=0.001)
    assert day.activity(MONDAY_NS) == 1.0
    assert day.activity(MONDAY_NS + 14 * HOUR_NS) == 0.2
