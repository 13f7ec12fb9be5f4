"""B5: how late, at 10,000 messages a second, with an export running and 20 pages looking on.

The pages stand at three sites of 333 devices: 1,000 series each, as the readers of one building
see the same charts. All delays count from the instant at which a message was due to be sent.
"""

import json
import threading
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from bench.bench import Bench
from bench.checks import CheckError, check_books, check_readings, require, rows
from bench.fleet import add_f2
from bench.measuring import Line
from bench.process import Worker
from bench.report import at_most
from bench.sources import f2_expected
from bench.stack import Stack

DEVICES = 999
SITES = 3
RATE = 9_990
CLIENTS = 20
POLLED = 20


def run(bench: Bench) -> None:
    """Measure all three delays in one stretch of time."""
    stack = Stack(bench.folder("b5"))
    add_f2(stack.settings, DEVICES)
    seconds = bench.size(20, 3)
    with stack:
        line = Line(stack, "f2", DEVICES)
        # What the export reads, and what makes every series known.
        line.send(bench.size(300, 50), "--port", stack.mqtt_port)
        names = [
            device for (device,) in rows(
                stack.settings,
                "SELECT DISTINCT device_id FROM series WHERE device_id LIKE 'dev-%' ORDER BY 1",
            )
        ]  # fmt: skip
        first = stack.usage()
        found = _look(stack, names, line.sent, seconds)
        last = stack.usage()
        paced = found["pace"]["messages"]
        stack.wait_until_stored(line.sent * DEVICES + paced)
        check_books(stack.books(), {"f2": line.sent * DEVICES + paced})
    require(paced == RATE * seconds, f"{paced:,} messages were acknowledged")
    expected = f2_expected(DEVICES, line.sent + paced // DEVICES)
    check_readings(stack.settings, expected, every_ns=None)
    found["cpu_s"], found["rss_mib"] = last.since(first), last.rss_mib
    for name, figures in found.items():
        bench.detail(name, figures)
    _rows(bench, found)


def _look(stack: Stack, names: list[str], first: int, seconds: int) -> dict[str, Any]:
    """Run load, pages, queries and export together; return what each has seen."""
    port, every = stack.mqtt_port, DEVICES / RATE
    sites = [names[site::SITES] for site in range(SITES)]
    with (
        Worker(
            "bench.pace", "f2", "--port", port, "--devices", DEVICES, "--rate", RATE,
            "--seconds", seconds, "--first", first,
        ) as pace,
        Worker("bench.watch", "--url", stack.url, "--clients", CLIENTS, "--seconds", seconds)
        as watch,
        Worker("bench.poll", "--url", stack.url, "--every", every, "--seconds", seconds) as poll,
        Export(stack.url) as export,
    ):  # fmt: skip
        watch.tell(json.dumps(sites))
        poll.tell(json.dumps(names[:: len(names) // POLLED][:POLLED]))
        workers = {"pace": pace, "websocket": watch, "query": poll}
        for worker in workers.values():
            worker.wait_ready()
        for worker in workers.values():
            worker.go()
        found = {name: worker.result() for name, worker in workers.items()}
    require(not found["pace"]["lost"], "connections were lost")
    require(found["query"]["seen"] == POLLED, "not every device was seen by queries")
    require(found["websocket"]["points"] > 0, "the pages saw nothing")
    require(export.error is None, f"the export failed: {export.error}")
    return {**found, "export": {"runs": export.runs, "bytes": export.size_bytes}}


def _rows(bench: Bench, found: dict[str, Any]) -> None:
    pace, query, pages = found["pace"], found["query"], found["websocket"]
    late = f"load itself {pace['late']['p99_ms']:.1f}"
    bench.row("publish to PUBACK, p99", pace["puback"]["p99_ms"], "ms", at_most(10), note=late)
    bench.row("publish to queryable, p99", query["delay"]["p99_ms"], "ms", at_most(250))
    bench.row("publish to WebSocket, p99", pages["delay"]["p99_ms"], "ms", at_most(200))
    gaps = pages["frames"].get("gap", 0)
    bench.row("  gaps told to slow pages", gaps, "", at_most(0))


@dataclass(slots=True)
class Export:
    """Exports everything as CSV, again and again, in a thread."""

    url: str
    runs: int = 0
    size_bytes: int = 0
    error: Exception | None = None
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            with httpx.Client(base_url=self.url, timeout=30) as api:
                while not self._over.is_set():
                    self._once(api)
        except (httpx.HTTPError, CheckError) as error:
            self.error = error

    def _once(self, api: httpx.Client) -> None:
        with api.stream("GET", "/api/export/points", params={"start": "-100w"}) as answer:
            require(answer.is_success, f"export answers {answer.status_code}")
            for piece in answer.iter_raw():
                self.size_bytes += len(piece)
                if self._over.is_set():
                    return
        self.runs += 1
