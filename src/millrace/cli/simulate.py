"""`millrace simulate`: devices that do not exist, over real MQTT.

What happens is on standard error; with `--json` one line on standard output sums it up. Exit code
3 means that no broker could be reached; later on the devices buffer and come back by themselves.
Source: D-56, F2-170, MTR-152, SNS-100.
"""

import typer

from millrace.cli import simulate_options as o
from millrace.cli.simulate_run import Run, fleet_of, play, shares_of
from millrace.simulate.f2 import F2Options
from millrace.simulate.f2_words import Speech
from millrace.simulate.meter import MeterOptions
from millrace.simulate.plan import Plan
from millrace.simulate.sensors import SensorOptions

METERS_HEALTH_PORT = 8082


def simulate() -> typer.Typer:
    """Return the sub-commands of `millrace simulate`."""
    app = typer.Typer(
        help="Simulate devices over real MQTT.", no_args_is_help=True, add_completion=False
    )
    app.command("f2")(f2)
    app.command("meters")(meters)
    app.command("meter", hidden=True)(meters)
    app.command("sensors")(sensors)
    app.command("demo")(demo)
    return app


def f2(
    count: o.Count = 3,
    rate: o.Rate = 0.0,
    url: o.Url = None,
    *,
    duration: o.Duration = None,
    seed: o.Seed = 0,
    interval: o.Interval = 30.0,
    form: o.SpeechForm = Speech.CURRENT,
    hurry: o.Hurry = 1.0,
    faults: o.Garbage = 0.0,
    gaps: o.Gaps = 0.0,
    duplicates: o.Duplicates = 0.0,
    reordered: o.Reordered = 0.0,
    late: o.Late = 0.0,
    reboots: o.Reboots = 0.0,
    bad_clocks: o.BadClocks = 0.0,
    qos: o.Qos = 1,
    connections: o.Connections = 0,
    buffer: o.Buffer = 10_000,
    start: o.Start = None,
    data: o.Data = None,
    health_port: o.HealthPort = None,
    as_json: o.AsJson = False,
) -> None:
    """Simulate F2 controllers: those of the registry, then made-up ones."""
    run = Run(url, duration, seed, rate, connections, buffer, start, data, health_port, as_json)
    settings = run.settings()
    options = F2Options(form, interval, hurry, rate > 0, qos, settings.f2.time_zone)
    shares = shares_of(faults, gaps, duplicates, reordered, late, reboots, bad_clocks)
    play(run, settings, fleet_of(Plan("f2", count, seed, f2=options), shares))


def meters(
    count: o.DeviceCount = 3,
    rate: o.Rate = 0.0,
    url: o.Url = None,
    *,
    duration: o.Duration = None,
    seed: o.Seed = 0,
    interval: o.SendInterval = 10,
    cadence: o.Cadence = 1000,
    hello_interval: o.HelloInterval = 30,
    faults: o.Garbage = 0.0,
    gaps: o.Gaps = 0.0,
    duplicates: o.Duplicates = 0.0,
    reordered: o.Reordered = 0.0,
    late: o.Late = 0.0,
    reboots: o.Reboots = 0.0,
    bad_clocks: o.BadClocks = 0.0,
    keys: o.Keys = None,
    qos: o.Qos = 2,
    connections: o.Connections = 0,
    buffer: o.Buffer = 10_000,
    start: o.Start = None,
    data: o.Data = None,
    health_port: o.HealthPort = None,
    as_json: o.AsJson = False,
) -> None:
    """Simulate rail meters that sample, send, obey commands and update themselves."""
    run = Run(url, duration, seed, rate, connections, buffer, start, data, health_port, as_json)
    run.usual_health_port = METERS_HEALTH_PORT
    options = MeterOptions(cadence, interval, hello_interval, rate > 0, qos, buffer_messages=buffer)
    shares = shares_of(faults, gaps, duplicates, reordered, late, reboots, bad_clocks)
    plan = Plan("meters", count, seed, meter=options, keys=o.read_keys(keys))
    play(run, run.settings(), fleet_of(plan, shares))


def sensors(
    count: o.Count = 8,
    rate: o.Rate = 0.0,
    url: o.Url = None,
    *,
    duration: o.Duration = None,
    seed: o.Seed = 0,
    interval: o.SensorInterval = None,
    anomalies: o.Anomalies = 0.0,
    faults: o.Garbage = 0.0,
    gaps: o.Gaps = 0.0,
    duplicates: o.Duplicates = 0.0,
    reordered: o.Reordered = 0.0,
    late: o.Late = 0.0,
    reboots: o.Reboots = 0.0,
    bad_clocks: o.BadClocks = 0.0,
    qos: o.Qos = 0,
    connections: o.Connections = 0,
    buffer: o.Buffer = 10_000,
    start: o.Start = None,
    data: o.Data = None,
    health_port: o.HealthPort = None,
    as_json: o.AsJson = False,
) -> None:
    """Simulate temperature, humidity, motion and GPS sensors."""
    run = Run(url, duration, seed, rate, connections, buffer, start, data, health_port, as_json)
    options = SensorOptions(interval, rate > 0, qos, anomalies)
    shares = shares_of(faults, gaps, duplicates, reordered, late, reboots, bad_clocks)
    play(run, run.settings(), fleet_of(Plan("sensors", count, seed, sensor=options), shares))


def demo(
    url: o.Url = None,
    *,
    duration: o.Duration = None,
    seed: o.Seed = 0,
    data: o.Data = None,
    child: o.Child = False,
    as_json: o.AsJson = False,
) -> None:
    """Simulate the demo devices of `millrace up --demo`, quick enough to watch."""
    run = Run(url, duration, seed, 0.0, 0, 10_000, None, data, None, as_json)
    run.is_child = child
    play(run, run.settings(), fleet_of(None, None))
