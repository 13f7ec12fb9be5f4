"""kill -9 of each process at random moments under load: what was acknowledged is stored once.

Source: reliability.md P1, P4, P7, P8; F1, F2, F5.
"""

import csv
import io
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.whole.devices import CountingDevice
from tests.whole.stack import Stack, running

ROUNDS = int(os.environ.get("KILL_ROUNDS", "20"))
DEVICES = 6
RATE = 80


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["edge", "core", "serve"])
def test_p1_p4_p8_kill_at_random_moments(name: str, tmp_path: Path) -> None:
    rng = random.Random(f"kill {name}")
    with running(tmp_path / "data") as stack:
        devices = [CountingDevice(f"{name}-{n}", stack.mqtt, rate=RATE) for n in range(DEVICES)]
        for device in devices:
            device.start()
        for _ in range(ROUNDS):
            time.sleep(rng.uniform(0.05, 0.5))
            kill(stack, name)
        for device in devices:
            device.finish()
        stack.wait_until_ready()
        books = stack.wait_until_drained()
        stored = exported(stack)
    assert books["difference"] == 0
    for device in devices:
        rows = stored.get(device.name, [])
        assert len(device.acknowledged) == device.sent > ROUNDS
        assert len(rows) == len(set(rows)), "stored twice"
        assert set(rows) >= device.acknowledged, "acknowledged and lost"


def kill(stack: Stack, name: str) -> None:
    """Kill a process once it is there."""
    deadline = time.monotonic() + 20
    while (pid := stack.pid(name)) is None:
        assert time.monotonic() < deadline, stack.log.read_text()
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)


def exported(stack: Stack) -> dict[str, list[int]]:
    """Return the stored values of each device, from the export command."""
    done = stack.command("export", "-", "--metric", "temperature_celsius")
    assert done.returncode == 0, done.stderr
    rows: dict[str, list[int]] = {}
    for row in csv.DictReader(io.StringIO(done.stdout)):
        rows.setdefault(row["device_id"], []).append(int(float(row["value"])))
    return rows
