"""Running a fleet from the command line: where the broker is, what people see, how it ends."""

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import typer
from rich.console import Console
from rich.live import Live

from millrace.cli.configured import settings_from
from millrace.cli.hosting import end_on_signals, end_with_parent, start
from millrace.errors import StopError, UsageError
from millrace.flow.life import Life
from millrace.flow.mqtt_link import Address
from millrace.model.instants import parse_instant
from millrace.observe.urls import shown
from millrace.settings import Settings
from millrace.simulate.acts import Device
from millrace.simulate.faults import Shares
from millrace.simulate.fleet import Course, Fleet
from millrace.simulate.health import answering
from millrace.simulate.line import Access
from millrace.simulate.plan import Known, Plan, demo, devices
from millrace.simulate.schedule import Schedule
from millrace.wiring.simulated import simulated_profiles, system_clock

SHOWN_EVERY_S = 1.0
PLAIN_EVERY_S = 10.0
_FORM = "write it like mqtt://host:1883"
PORTS = {"mqtt": 1883, "mqtts": 8883, "endpoint": 1883}

Made = tuple[list[Device], Shares | None]
Make = Callable[[Known, int, int], Made]


@dataclass(slots=True)
class Run:
    """What was asked for, beside the devices themselves."""

    url: str | None
    duration_s: float | None
    seed: int
    rate: float
    connections: int
    buffer: int
    start: str | None
    data: Path | None
    health_port: int | None
    as_json: bool
    usual_health_port: int = 0
    is_child: bool = False

    def settings(self) -> Settings:
        """Return the settings, for registry, time zone and broker."""
        return settings_from(self.data)

    def start_ns(self) -> int | None:
        """Return the given start of simulated time. Raises: UsageError."""
        at_ns = None if self.start is None else parse_instant(self.start)
        if self.start is not None and at_ns is None:
            raise UsageError(
                f"--start {self.start} is not an instant", "write it like 2026-03-01T12:00:00Z"
            )
        return at_ns

    def access(self, settings: Settings) -> Access:
        """Return how to reach the broker: flag, then variables, then settings.

        Raises:
            UsageError: That is no address of a broker.
        """
        url = self.url or _from_variables() or settings.broker.url
        if not isinstance(url, str):
            url = url[0]
        try:
            parts = urlsplit(url if "://" in url else f"mqtt://{url}")
            port = parts.port or PORTS.get(parts.scheme, 0)
        except ValueError:
            raise UsageError(f"--url {shown(url)} is no URL", _FORM) from None
        if parts.scheme not in PORTS or not parts.hostname:
            raise UsageError(f"--url {shown(url)} names no broker", _FORM)
        tls = ssl.create_default_context() if parts.scheme == "mqtts" else None
        return Access(
            Address(parts.hostname, port, tls),
            unquote(parts.username) if parts.username else None,
            unquote(parts.password).encode() if parts.password else None,
            buffer_messages=self.buffer,
        )


# One option each; they come here in the order of the command line.
def shares_of(  # noqa: PLR0917
    garbage: float,
    gaps: float,
    duplicates: float,
    reordered: float,
    late: float,
    reboots: float,
    bad_clocks: float,
) -> Shares:
    """Return the shares of faults. Raises: UsageError."""
    shares = Shares(gaps, duplicates, reordered, late, reboots, bad_clocks, garbage)
    shares.check()
    return shares


def fleet_of(plan: Plan | None, shares: Shares | None) -> Make:
    """Return what makes the devices of a plan; without a plan it is the demo."""

    def make(known: Known, seed: int, start_ns: int) -> Made:
        if plan is None:
            return demo(known, seed, start_ns), None
        return devices(plan, known, start_ns), shares

    return make


def play(run: Run, settings: Settings, make: Make) -> None:
    """Run a fleet and report.

    Raises:
        StopError: The broker cannot be reached, or refuses.
    """
    clock = system_clock()
    given_ns, access = run.start_ns(), run.access(settings)
    known = simulated_profiles(settings)
    start_ns = clock.now_ns() if given_ns is None else given_ns
    made, shares = make(known, run.seed, start_ns)
    schedule = Schedule(made, seed=run.seed, start_ns=start_ns, rate=run.rate, shares=shares)

    result: dict[str, Any] = {}

    async def go() -> None:
        fleet = Fleet(
            made, schedule, access, clock=clock, connections=run.connections, seed=run.seed
        )
        result.update(await _watched(run, fleet, Course(given_ns, run.duration_s)))

    start(go())
    if run.as_json:
        typer.echo(json.dumps(result))
    elif not run.is_child:
        Console(stderr=True).print(_sentence(result, result["rate"]), highlight=False)


async def _watched(run: Run, fleet: Fleet, course: Course) -> dict[str, Any]:
    """Run a fleet, show how it goes, and return the summary."""
    life = Life(lambda *_: None)
    end_on_signals(life)
    began, began_cpu = time.monotonic(), time.process_time()

    def ready() -> None:
        nonlocal began, began_cpu
        began, began_cpu = time.monotonic(), time.process_time()
        if run.is_child:
            sys.stdout.write(json.dumps({"ready": ["demo"], "listening": {}}) + "\n")
            sys.stdout.flush()

    async with AsyncExitStack() as stack:
        if run.is_child:
            await end_with_parent(life)
        await _open_health(run, fleet, stack)
        await _shown(run, fleet, fleet.run(course, life.over, ready))
    seconds = max(1e-9, time.monotonic() - began)
    summary = fleet.summary()
    rate = round((summary["sent"] + summary["repeated"]) / seconds, 1)
    cpu_s = round(time.process_time() - began_cpu, 3)
    return {**summary, "seconds": round(seconds, 3), "cpu_seconds": cpu_s, "rate": rate}


async def _shown(run: Run, fleet: Fleet, running: Coroutine[Any, Any, None]) -> None:
    """Show how it goes for as long as it runs. Raises: StopError."""
    try:
        async with asyncio.TaskGroup() as group:
            showing = group.create_task(_show(run, fleet))
            await running
            showing.cancel()
    except* StopError as errors:
        raise errors.exceptions[0] from None


async def _open_health(run: Run, fleet: Fleet, stack: AsyncExitStack) -> None:
    """Answer /healthz and /readyz; only a port that was asked for must be free."""
    port = run.usual_health_port if run.health_port is None else run.health_port
    if not port:
        return
    try:
        await stack.enter_async_context(answering("127.0.0.1", port, fleet.summary))
    except OSError as error:
        if run.health_port is not None:
            raise UsageError(
                f"port {port} cannot be used: {error.strerror}", "choose another --health-port"
            ) from error
        typer.echo(f"port {port} is taken: no /healthz and /readyz", err=True)


async def _show(run: Run, fleet: Fleet) -> None:
    """Say now and then how it goes, on standard error."""
    console = Console(stderr=True)
    every_s = SHOWN_EVERY_S if console.is_terminal else PLAIN_EVERY_S
    with _printer(console, is_silent=run.is_child or run.as_json) as put:
        before = 0
        while True:
            await asyncio.sleep(every_s)
            summary = fleet.summary()
            done = summary["sent"] + summary["repeated"]
            put(_sentence(summary, (done - before) / every_s))
            before = done


@contextmanager
def _printer(console: Console, *, is_silent: bool) -> Iterator[Callable[[str], None]]:
    if is_silent:
        yield lambda _text: None
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield lambda text: live.update(text, refresh=True)
    else:
        yield lambda text: console.print(text, highlight=False)


def _sentence(summary: dict[str, Any], rate: float) -> str:
    parts = [
        f"{rate:,.0f} msg/s   {summary['connected']:,} of {summary['connections']:,} connected",
        f"sent {summary['sent']:,}   acknowledged {summary['acknowledged']:,}",
    ]
    rest = {name: summary[name] for name in ("unconfirmed", "failed", "received", "reconnects")}
    rest |= summary["faults"]
    parts += [f"{name} {number:,}" for name, number in rest.items() if number]
    return "   ".join(parts)


def _from_variables() -> str | None:
    """Return the broker of MQTT_BROKER and MQTT_PORT (MTR-152), None without them."""
    host, port = environ.get("MQTT_BROKER"), environ.get("MQTT_PORT")
    if not host and not port:
        return None
    return f"mqtt://{host or '127.0.0.1'}:{port or PORTS['mqtt']}"
