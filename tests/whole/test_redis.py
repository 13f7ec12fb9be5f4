"""With Redis, without it, and while it fails: the same answers (F29, SNS-064, REG-118)."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from websockets import Subprotocol
from websockets.sync.client import ClientConnection, connect

from millrace.settings import Settings
from millrace.wiring.setup import prepare
from tests.servers.ports import free_port, wait_for_port
from tests.servers.redis import RedisServer, running_redis
from tests.whole.devices import publish
from tests.whole.stack import Stack, running

pytestmark = pytest.mark.services

START_S = 1_772_366_400
CONTROLLER = "f2-e4fd45f654be"
DEVICES = (CONTROLLER, "dev-4", "attic", "cellar", "m-1")
SPAN = "start=2026-03-01T00:00:00Z&stop=2026-03-02T00:00:00Z&limit=1000"
ROUNDS = 6
VOLTAGES = {700.0 + number for number in range(ROUNDS)}


def messages(number: int) -> list[tuple[str, bytes]]:
    """Return what all devices say in one round, with times of their own."""
    at = START_S + number
    frame = {"timestamp": f"2026-03-01 11:59:{number:02}",
             "data": f"01 03 06 08 9D 16 2B 02 8{number:X} 00 00"}  # fmt: skip
    humid = {"timestamp": at, "data": {"humidity_percent": 40 + number}}
    meter = {"v": 2, "seq": number, "msg_type": "telemetry", "ts": at,
             "measurements": [{"type": "=v", "val": 700 + number, "unit": "V"}]}  # fmt: skip
    return [
        (f"tele/{CONTROLLER}/sensor-mode/J1/sensor-1", json.dumps(frame).encode()),
        ("sensors/humidity/attic", json.dumps(humid).encode()),
        (f"sensors/humidity/late-{number}", json.dumps(humid).encode()),
        ("sensors/temperature/cellar", json.dumps({"timestamp": at, "data": {}}).encode()),
        ("iot/m-1/telemetry", json.dumps(meter).encode()),
        ("iot/m-1/telemetry", b"broken"),
    ]


@contextmanager
def demo_stack(data: Path, **env: str) -> Iterator[Stack]:
    """Run a stack whose registry knows the documented controllers."""
    data.parent.mkdir(exist_ok=True)
    prepare(Settings.model_validate({"data": data}), demo=True)
    with running(data, env={f"MILLRACE_{name}": value for name, value in env.items()}) as stack:
        yield stack


def answers(stack: Stack) -> dict[str, Any]:
    """Return what the API says of the devices, as far as it does not depend on when we ask."""
    found: dict[str, Any] = {}
    for number in range(ROUNDS):
        found[f"late-{number}"] = stack.get(f"/api/devices/late-{number}/metrics?{SPAN}")
    for device in DEVICES:
        found[device] = stack.get(f"/api/devices/{device}/metrics?{SPAN}")["metrics"]
        for row in found[device]:
            row.pop("received_at", None)
    devices = stack.get("/api/devices?limit=1000")["devices"]
    found["devices"] = sorted(
        (row["device_id"], row["family"], row["status"], row["registered"]) for row in devices
    )
    found["balance"] = stack.books()
    return found


def told(socket: ClientConnection, rounds: int) -> set[float]:
    """Return the voltages that come over a socket until the last of so many rounds."""
    seen: set[float] = set()
    while 699 + rounds not in seen:
        frame = json.loads(socket.recv(timeout=10))
        if frame["type"] == "points":
            seen |= {point["value"] for point in frame["points"]}
    return seen


@contextmanager
def listening(http: int, **wishes: str) -> Iterator[ClientConnection]:
    """Subscribe to the meter over the live stream of a serve process."""
    asked = Request(f"http://127.0.0.1:{http}/api/live/ticket", method="POST")
    with urlopen(asked, timeout=10) as answer:  # noqa: S310 - an address of our own
        ticket = json.load(answer)["ticket"]
    url = f"ws://127.0.0.1:{http}/api/live?ticket={ticket}"
    with connect(url, subprotocols=[Subprotocol("millrace.v1")]) as socket:
        wish = {"op": "subscribe", "id": "a", "kind": "points", "devices": ["m-1"], "metrics": []}
        socket.send(json.dumps({**wish, **wishes}))
        yield socket


def fail(server: RedisServer, fault: str, number: int) -> None:
    """Let Redis fail in the middle of the rounds."""
    if fault == "flush" and number in (2, 4):
        with server.client() as client:
            client.flushall()
    elif fault == "sleep" and number == 2:
        server.sleep(3)
    elif fault == "kill" and number == 2:
        server.kill()
    elif fault == "restart" and number in (2, 4):
        server.kill()
        server.start()


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is answered without Redis."""
    with demo_stack(tmp_path_factory.mktemp("without") / "data") as stack:
        for number in range(ROUNDS):
            publish(stack.mqtt, *messages(number))
        stack.wait_until_drained()
        found = answers(stack)
    assert [len(found[device]) for device in DEVICES] == [0, 3 * ROUNDS, ROUNDS, 0, ROUNDS]
    assert all(len(found[f"late-{number}"]["metrics"]) == 1 for number in range(ROUNDS))
    assert found["balance"]["open_dead_letters"] == ROUNDS
    return found


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["none", "flush", "sleep", "kill", "restart"])
def test_f29_answers_are_the_same_whatever_happens_to_redis(
    tmp_path: Path, without: dict[str, Any], fault: str
) -> None:
    with (
        running_redis(tmp_path) as server,
        demo_stack(tmp_path / "data", LIVE__URL=server.url) as stack,
        listening(stack.http) as socket,
    ):
        for number in range(ROUNDS):
            fail(server, fault, number)
            publish(stack.mqtt, *messages(number))
            time.sleep(0.4)  # so that rounds are commits of their own, and live frames too
        stack.wait_until_drained()
        assert answers(stack) == without
        assert told(socket, ROUNDS) <= VOLTAGES  # conflated, so perhaps not all
        with listening(stack.http, since="0") as resumed:
            assert told(resumed, ROUNDS) == VOLTAGES
        assert stack.get("/health")["status"] in ("healthy", "degraded")


def test_f29_redis_away_is_degraded_and_counted_never_an_error(tmp_path: Path) -> None:
    with (
        running_redis(tmp_path) as server,
        demo_stack(tmp_path / "data", LIVE__URL=server.url) as stack,
    ):
        assert stack.get("/health")["details"]["connectivity"]["cache"]["status"] == "healthy"
        server.kill()
        publish(stack.mqtt, *messages(0))
        stack.wait_until(lambda: stack.get("/health")["status"] == "degraded", timeout_s=40)
        assert stack.is_ready()
        health = stack.get("/health")["details"]["connectivity"]["cache"]
        assert (health["status"], health["detail"]) == ("unhealthy", "RetryError")
        failed = [
            line for line in stack.role("process", "/metrics")[1].splitlines()
            if line.startswith('millrace_cache_requests_total{result="error"}')
        ]  # fmt: skip
        assert float(failed[0].split()[1]) > 0
        server.start()
        stack.wait_until(lambda: stack.get("/health")["status"] == "healthy", timeout_s=40)


def test_the_documented_keys_are_in_redis(tmp_path: Path) -> None:
    with (
        running_redis(tmp_path) as server,
        demo_stack(tmp_path / "data", LIVE__URL=server.url, LIVE__KEY_PREFIX="site:") as stack,
        server.client() as client,
    ):
        publish(stack.mqtt, *messages(0))
        stack.wait_until(lambda: client.get("site:device:attic:humidity") == b"40")
        assert 280 < client.ttl("site:device:attic:humidity") <= 300
        stack.wait_until(lambda: client.get("site:dashboard:active_devices") is not None)
        head = json.loads(client.get("site:device_mac:e4fd45f654be") or b"{}")
        assert head["device_id"] == CONTROLLER
        assert head["pins"]
        assert all(key.startswith(b"site:") for key in client.scan_iter())


def test_f5_two_serve_processes_share_a_ring_and_one_of_them_is_killed(tmp_path: Path) -> None:
    with (
        running_redis(tmp_path) as server,
        demo_stack(tmp_path / "data", LIVE__URL=server.url) as stack,
        second_serve(stack, server.url) as http,
        server.client() as client,
        listening(stack.http),
        listening(http) as socket,
    ):
        stack.wait_until(lambda: bool(client.keys("millrace:live:*:lead")))
        for number in range(ROUNDS // 2):
            publish(stack.mqtt, *messages(number))
        assert told(socket, ROUNDS // 2) <= VOLTAGES
        (key,) = (key for key in client.keys("millrace:live:*") if not key.endswith(b":lead"))
        assert client.xlen(key) > 0
        os.kill(stack.pid("serve") or 0, signal.SIGKILL)
        for number in range(ROUNDS // 2, ROUNDS):
            publish(stack.mqtt, *messages(number))
        assert told(socket, ROUNDS) <= VOLTAGES
        with listening(http, since="0") as resumed:
            assert told(resumed, ROUNDS) == VOLTAGES


@contextmanager
def second_serve(stack: Stack, redis_url: str) -> Iterator[int]:
    """Run a serve process beside those of a stack; yields its HTTP port."""
    port = free_port()
    command = [sys.executable, "-m", "millrace", "run", "serve", "--data", str(stack.data)]
    command += ["--http", f"127.0.0.1:{port}"]
    env = {
        **os.environ,
        "MILLRACE_LIVE__URL": redis_url,
        "MILLRACE_BROKER__URL": "mqtt://127.0.0.1",
    }
    with stack.log.open("ab") as log:
        process = subprocess.Popen(command, env=env, cwd=stack.data.parent, stdout=log, stderr=log)
    try:
        wait_for_port(port, what="serve")
        yield port
    finally:
        process.terminate()
        process.wait(15)
