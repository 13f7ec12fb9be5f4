"""The whole with its store and history in PostgreSQL: every answer, and what must not be lost.

Source: issue 3; F2, F22, P1, P4, P7, P8; API-030 to API-035, API-130, F2-140.
"""

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.faults.test_crash_points import POINTS, die_at
from tests.faults.test_kill_processes import check
from tests.servers.ports import free_port
from tests.servers.postgres import running_postgres
from tests.servers.stores import prepared
from tests.whole.devices import CountingDevice, CountingMeter, publish
from tests.whole.stack import Stack, running

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(300)]


def in_postgres(url: str) -> dict[str, str]:
    """Return the environment of a stack that keeps everything but the log in a database."""
    return {"MILLRACE_STORE__URL": url, "MILLRACE_SERIES__URL": url}


@pytest.fixture
def env(migrated_url: str) -> dict[str, str]:
    return in_postgres(migrated_url)


def telemetry(device: str, seq: int, at_s: float, value: float) -> tuple[str, bytes]:
    element = {"ts": at_s, "type": "voltage_dc", "val": value, "unit": "V"}
    body = {"v": 2, "seq": seq, "msg_type": "telemetry", "measurements": [element]}
    return f"iot/{device}/telemetry", json.dumps(body).encode()


def test_a_publish_is_in_rows_answers_and_sockets(env: dict[str, str], tmp_path: Path) -> None:
    start_s = int(time.time()) - 120
    first = [telemetry("dc-1", n, start_s + n, 700 + n) for n in range(60)]
    with running(tmp_path / "data", env=env) as stack:
        publish(stack.mqtt, *first)
        stack.wait_until(lambda: len(values(stack, "dc-1")) == 60)
        assert values(stack, "dc-1") == [700.0 + n for n in range(60)]
        with listening(stack, "dc-1") as heard:
            publish(stack.mqtt, telemetry("dc-1", 60, start_s + 60, 760))
            assert next(heard) == [("voltage_dc", 760.0)]
        (latest,) = stack.get("/api/latest?device_id=dc-1")["latest"]
        assert (latest["value"], latest["unit"]) == (760, "V")
        found = stack.get("/api/devices/dc-1/aggregates?every=1h&fn=count&fn=max&start=-2h")
        points = found["aggregates"][0]["points"]
        assert sum(point["count"] for point in points) == 61
        assert max(point["max"] for point in points) == 760
        assert len(stack.exported("voltage_dc")["dc-1"]) == 61
        assert stack.rows("SELECT count(*), max(value) FROM readings") == [(61, 760.0)]
        seen = stack.rows("SELECT unit, avg, count FROM iot_hourly_stats WHERE device_id = 'dc-1'")
        assert sum(count for _, _, count in seen) == 61
        assert {unit for unit, _, _ in seen} == {"V"}
        events = stack.get("/api/devices/dc-1/events")["events"]
        assert [event["type"] for event in events] == ["device_discovered"]
        assert stack.wait_until_drained()["difference"] == 0


def values(stack: Stack, device: str) -> list[float]:
    found = stack.get(f"/api/devices/{device}/metrics?limit=1000")["metrics"]
    return [row["value"] for row in found]


@contextmanager
def listening(stack: Stack, device: str) -> Iterator[Iterator[list[tuple[str, float]]]]:
    """Subscribe to one device; give an iterator over (metric, value) of each frame."""
    address = f"127.0.0.1:{stack.http}"
    asked = urllib.request.Request(f"http://{address}/api/live/ticket", method="POST")
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 - our own server
        ticket = json.load(answer)["ticket"]
    with connect(f"ws://{address}/api/live?ticket={ticket}") as socket:
        said = {"op": "subscribe", "id": "s", "kind": "points", "devices": [device]}
        socket.send(json.dumps(said))
        hear(socket, "subscribed")
        yield (
            [(one["metric"], one["value"]) for one in hear(socket, "points")["points"]]
            for _ in count()
        )


def hear(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        frame = json.loads(socket.recv(timeout=10))
        if frame["type"] == kind:
            return dict(frame)


def test_f22_a_server_that_was_away_is_caught_up_with(tmp_path: Path) -> None:
    with running_postgres() as server:
        env = in_postgres(prepared(server.url(server.make_database())))
        with running(tmp_path / "data", env=env) as stack:
            devices: list[CountingDevice] = [CountingMeter("m-1", stack.mqtt, rate=50)]
            devices.append(CountingDevice("s-1", stack.mqtt, rate=50))
            for device in devices:
                device.start()
            stack.wait_until(lambda: len(devices[0].acknowledged) > 50)
            for how in (server.stop, server.kill):
                how()
                wait_for_more(stack, devices[0], 100)
                server.start()
                time.sleep(1)
            for device in devices:
                device.finish()
            check(stack, devices)


def wait_for_more(stack: Stack, device: CountingDevice, number: int) -> None:
    goal = len(device.acknowledged) + number
    stack.wait_until(lambda: len(device.acknowledged) >= goal)


def test_f1_f2_every_crash_point_of_the_pump(env: dict[str, str], tmp_path: Path) -> None:
    ports = free_port(), free_port()
    data = tmp_path / "data"
    with running(data, ports=ports, env=env):
        devices = [
            CountingMeter("m-1", ports[1], rate=60),
            CountingDevice("s-1", ports[1], rate=60),
        ]
        for device in devices:
            device.start()
        time.sleep(0.5)
    for calls, point in enumerate(POINTS["core"], start=1):
        die_at(point, calls, "core", data, ports, env)
    with running(data, ports=ports, env=env) as stack:
        for device in devices:
            device.finish()
        check(stack, devices)


def test_p1_p4_p8_the_pump_is_killed_at_random_moments(env: dict[str, str], tmp_path: Path) -> None:
    rng = Random("kill core on postgresql")
    with running(tmp_path / "data", env=env) as stack:
        devices = [CountingDevice(f"s-{n}", stack.mqtt, rate=80) for n in range(4)]
        for device in devices:
            device.start()
        for _ in range(8):
            time.sleep(rng.uniform(0.1, 1.0))
            stack.kill("core")
        for device in devices:
            device.finish()
        check(stack, devices)


def test_p5_who_is_taken_over_ends_and_begins_anew(env: dict[str, str], tmp_path: Path) -> None:
    with running(tmp_path / "one", env=env) as one:
        publish(one.mqtt, telemetry("dc-1", 0, int(time.time()) - 9, 1))
        one.wait_until(lambda: len(values(one, "dc-1")) == 1)
        with psycopg.connect(env["MILLRACE_STORE__URL"]) as db:
            db.execute("UPDATE positions SET epoch = epoch + 1 WHERE reader = 'process'")
        publish(one.mqtt, telemetry("dc-1", 1, int(time.time()) - 8, 2))
        fenced = b"another process has taken over"
        one.wait_until(lambda: fenced in one.log.read_bytes(), timeout_s=60)
        # The supervisor starts it again; it claims the positions anew and goes on.
        one.wait_until(lambda: len(values(one, "dc-1")) == 2, timeout_s=60)
