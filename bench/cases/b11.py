"""B11: the API under thirty principals while devices go on at half the rate of B1.

Each principal waits half a second between an answer and the next question. There are no users
in this release, so none of them has to prove who it is.
"""

import json

from bench.bench import Bench
from bench.checks import check_books, require, rows
from bench.fleet import add_f2
from bench.measuring import Line
from bench.process import Worker
from bench.report import at_most
from bench.stack import Stack

DEVICES = 1000
RATE = 60_000
BURST = 10
PRINCIPALS = 30
P95_MS, P99_MS = 80, 250


def run(bench: Bench) -> None:
    """Ask and send for the same stretch of time."""
    seconds, rate = bench.size(20, 4), bench.size(RATE, 5_000)
    stack = Stack(bench.folder("b11"))
    add_f2(stack.settings, DEVICES)
    with stack:
        line = Line(stack, "f2", DEVICES)
        line.send(bench.size(300, 20), "--port", stack.mqtt_port)
        with (
            Worker(
                "bench.pace", "f2", "--port", stack.mqtt_port, "--devices", DEVICES,
                "--rate", rate, "--seconds", seconds, "--first", line.sent, "--burst", BURST,
            ) as pace,
            Worker(
                "bench.principals", "--url", stack.url, "--principals", PRINCIPALS,
                "--seconds", seconds,
            ) as principals,
        ):  # fmt: skip
            principals.tell(json.dumps(_names(stack)))
            for worker in (pace, principals):
                worker.wait_ready()
            for worker in (pace, principals):
                worker.go()
            found, paced = principals.result(), pace.result()
        sent = line.sent * DEVICES + int(paced["messages"])
        stack.wait_until_stored(sent)
        check_books(stack.books(), {"f2": sent})
    require(paced["messages"] == rate * seconds, f"{paced['messages']:,} were acknowledged")
    bench.detail("answers", found)
    bench.detail("pace", paced)
    bench.row("answers", found["answers"] / seconds, "/s")
    bench.row("  p95 of all", found["all"]["p95_ms"], "ms", at_most(P95_MS))
    bench.row("  p99 of all", found["all"]["p99_ms"], "ms", at_most(P99_MS))
    bench.row("  failures", found["failed"], "", at_most(0))


def _names(stack: Stack) -> list[str]:
    question = "SELECT DISTINCT device_id FROM series WHERE device_id LIKE 'dev-%' ORDER BY 1"
    return [device_id for (device_id,) in rows(stack.settings, question)]
