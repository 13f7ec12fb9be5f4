"""B7: questions over 100 M readings of 10,000 series while 50,000 readings a second arrive.

Two million readings are hot when it begins, one datagram in a hundred is a day late, and a seal
falls into the measurement. Delays are those of the API: question sent to answer read.
"""

import random
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import httpx

from bench.bench import Bench
from bench.checks import CheckError, check_books, require
from bench.history import (
    DAYS,
    FIRST_DAY_S,
    METERS,
    SERIES,
    meter_id,
    readings_a_day,
    stack_with_history,
)
from bench.measuring import Line, MemorySampler
from bench.process import Worker
from bench.report import at_least, at_most, latencies
from bench.sources import DAY_S, INSTANTS
from bench.stack import Stack

READINGS_A_MESSAGE: Final = 2 * INSTANTS
HOURS: Final = DAYS * 24


def run(bench: Bench) -> None:
    """Ask the three questions in turn for as long as the load lasts."""
    rate, seconds = bench.size(2_500, 500), bench.size(40, 3)
    with stack_with_history(bench, "B7") as stack:
        before = stack.books().received["meter"]
        require(not before, "the history is not fresh: B7 comes before other cases that use it")
        line = Line(stack, "meter", METERS)
        line.send(bench.size(20, 2), "--port", stack.mqtt_port)
        with (
            MemorySampler(stack) as memory,
            Worker(
                "bench.pace", "meter", "--port", stack.mqtt_port, "--devices", METERS,
                "--rate", rate, "--seconds", seconds, "--first", line.sent,
            ) as pace,
        ):  # fmt: skip
            pace.wait_ready()
            pace.go()
            delays = _ask(stack, readings_a_day(bench), seconds)
            sent = pace.result()
        messages = line.sent * METERS + sent["messages"]
        stack.wait_until_stored(messages)
        check_books(stack.books(), {"meter": messages})
    require(not sent["lost"], "connections were lost")
    arriving = sent["messages"] * READINGS_A_MESSAGE / (sent["ended"] - sent["started"])
    for name, figures in delays.items():
        bench.detail(name, figures)
    bench.detail("pace", sent)
    bench.detail("resident_mib", memory.most_by_process())
    bench.row("readings that arrive meanwhile", arriving, "/s", at_least(bench.size(49_000, 9_000)))
    for name, most in (("latest of 10 k series", 100), ("one series, one day, raw", 20),
                       ("one series, 30 days, hourly", 100)):  # fmt: skip
        bench.row(f"{name}, p95", delays[name]["p95_ms"], "ms", at_most(most))
    bench.row("resident memory, all processes", memory.most_mib, "MiB")


class Question(NamedTuple):
    """What is asked, and what must be true of the answer."""

    request: Callable[[], httpx.Request]
    check: Callable[[Any], None]


def _ask(stack: Stack, a_day: int, seconds: float) -> dict[str, Any]:
    """Ask the three questions in turn; return their delays by name."""
    with httpx.Client(base_url=stack.url, timeout=30) as api:
        questions = _questions(api, random.Random(5), a_day)
        delays: dict[str, list[float]] = {name: [] for name in questions}
        for question in questions.values():
            _answered(api, question)
        over_s = time.monotonic() + seconds
        while time.monotonic() < over_s:
            for name, question in questions.items():
                delays[name].append(_answered(api, question))
    return {name: latencies(found) for name, found in delays.items()}


def _answered(api: httpx.Client, question: Question) -> float:
    """Return the seconds from sending a question to having read its answer."""
    request = question.request()
    asked_s = time.perf_counter()
    answer = api.send(request)
    seconds = time.perf_counter() - asked_s
    if not answer.is_success:
        raise CheckError(f"{request.url.path} answers {answer.status_code}: {answer.text}")
    question.check(answer.json())
    return seconds


def _questions(api: httpx.Client, rng: random.Random, a_day: int) -> dict[str, Question]:
    everyone = {"device_ids": [meter_id(number) for number in range(METERS)]}

    def latest() -> httpx.Request:
        return api.build_request("POST", "/api/latest", params={"limit": 100_000}, json=everyone)

    def raw() -> httpx.Request:
        start_s = FIRST_DAY_S + rng.randrange(DAYS) * DAY_S
        asked = {"metric": "voltage_dc", "limit": "10000", **_span(start_s, 1)}
        return api.build_request("GET", f"{_device(rng)}/metrics", params=asked)

    def hourly() -> httpx.Request:
        asked = {"metric": "voltage_dc", "every": "1h", "fn": "mean", **_span(FIRST_DAY_S, DAYS)}
        return api.build_request("GET", f"{_device(rng)}/aggregates", params=asked)

    return {
        "latest of 10 k series": Question(latest, _has_all),
        # On the last day there may be late ones on top.
        "one series, one day, raw": Question(raw, lambda found: _has_day(found, a_day)),
        "one series, 30 days, hourly": Question(hourly, _has_hours),
    }


def _has_all(found: Any) -> None:
    require(len(found["latest"]) == SERIES, "not every series has a newest reading")


def _has_day(found: Any, a_day: int) -> None:
    require(len(found["metrics"]) >= a_day, f"{len(found['metrics'])} readings of {a_day}")


def _has_hours(found: Any) -> None:
    (series,) = found["aggregates"]
    require(len(series["points"]) > HOURS // 2, f"{len(series['points'])} hours of {HOURS}")


def _span(start_s: int, days: int) -> dict[str, str]:
    return {"start": _text(start_s), "stop": _text(start_s + days * DAY_S)}


def _device(rng: random.Random) -> str:
    return f"/api/devices/{meter_id(rng.randrange(METERS))}"


def _text(at_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
