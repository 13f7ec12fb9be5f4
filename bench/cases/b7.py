"""B7: questions over 100 M readings of 10,000 series while 50,000 readings a second arrive.

Two million readings are hot when it begins, one datagram in a hundred is a day late, and a seal
falls into the measurement. Delays are those of the API: question sent to answer read.
"""

import random
import time
from collections.abc import Callable
from typing import Any, Final

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
    bench.row("readings that arrive meanwhile", arriving, "/s", at_least(bench.size(49_000, 9_000)))
    for name, most in (("latest of 10 k series", 100), ("one series, one day, raw", 20),
                       ("one series, 30 days, hourly", 100)):  # fmt: skip
        bench.row(f"{name}, p95", delays[name]["p95_ms"], "ms", at_most(most))
    bench.row("resident memory, all processes", memory.most_mib, "MiB")


def _ask(stack: Stack, a_day: int, seconds: float) -> dict[str, Any]:
    """Ask the three questions in turn; return their delays by name."""
    rng = random.Random(5)
    with httpx.Client(base_url=stack.url, timeout=30) as api:
        questions: dict[str, Callable[[], None]] = {
            "latest of 10 k series": lambda: _latest(api),
            "one series, one day, raw": lambda: _raw(api, rng, a_day),
            "one series, 30 days, hourly": lambda: _hourly(api, rng),
        }
        for ask in questions.values():
            ask()
        delays: dict[str, list[float]] = {name: [] for name in questions}
        over_s = time.monotonic() + seconds
        while time.monotonic() < over_s:
            for name, ask in questions.items():
                asked_s = time.perf_counter()
                ask()
                delays[name].append(time.perf_counter() - asked_s)
    return {name: latencies(found) for name, found in delays.items()}


def _latest(api: httpx.Client) -> None:
    body = {"device_ids": [meter_id(number) for number in range(METERS)]}
    answer = api.post("/api/latest", params={"limit": 100_000}, json=body)
    require(len(_ok(answer)["latest"]) == SERIES, "not every series has a newest reading")


def _raw(api: httpx.Client, rng: random.Random, a_day: int) -> None:
    start_s = FIRST_DAY_S + rng.randrange(DAYS) * DAY_S
    wanted = {"start": _text(start_s), "stop": _text(start_s + DAY_S), "limit": "10000"}
    found = _ok(api.get(f"{_device(rng)}/metrics", params={"metric": "voltage_dc", **wanted}))
    # On the last day there may be late ones on top.
    require(len(found["metrics"]) >= a_day, f"{len(found['metrics'])} readings of {a_day}")


def _hourly(api: httpx.Client, rng: random.Random) -> None:
    wanted = {"start": _text(FIRST_DAY_S), "stop": _text(FIRST_DAY_S + DAYS * DAY_S)}
    asked = {"metric": "voltage_dc", "every": "1h", "fn": "mean", **wanted}
    found = _ok(api.get(f"{_device(rng)}/aggregates", params=asked))["aggregates"]
    require(len(found) == 1, "there is no aggregate")
    require(len(found[0]["points"]) > HOURS // 2, f"{len(found[0]['points'])} hours of {HOURS}")


def _device(rng: random.Random) -> str:
    return f"/api/devices/{meter_id(rng.randrange(METERS))}"


def _text(at_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


def _ok(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise CheckError(f"{answer.request.url.path} answers {answer.status_code}: {answer.text}")
    found: dict[str, Any] = answer.json()
    return found
