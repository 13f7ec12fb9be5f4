"""The README and the how-tos, followed on a whole Millrace."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.documents import ROOT
from tests.whole.devices import START_S, publish
from tests.whole.stack import Stack, running

TOPIC = "sensors/temperature/attic"
METRIC = "temperature_celsius"


def send(stack: Stack, *numbers: int) -> None:
    bodies = (
        b'{"timestamp":%d,"data":{"%b":%d}}' % (START_S + n, METRIC.encode(), n) for n in numbers
    )
    publish(stack.mqtt, *((TOPIC, body) for body in bodies))
    stack.wait_until_drained()


def stored(stack: Stack) -> list[float]:
    return stack.exported(METRIC).get("attic", [])


@pytest.mark.slow
def test_the_tour_of_the_readme(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--demo") as stack:
        device = [
            "-m",
            "examples.device.thermometer",
            "--port",
            str(stack.mqtt),
            "--device",
            "attic",
        ]
        ran = subprocess.run(
            [sys.executable, *device, "--count", "3", "--interval", "0"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        assert len(ran.stdout.splitlines()) == 3
        stack.wait_until(lambda: bool(stack.get("/api/latest?device_id=attic")["latest"]))
        assert stack.get("/api/devices/attic/metrics?start=-5m")["metrics"]
        assert stack.command("audit").returncode == 0
        assert stack.command("doctor").returncode == 0
        decoded = stack.command("decode", TOPIC, '{"data": {"temperature_celsius": "warm"}}')
        assert "bad_value" in decoded.stdout
        written = stack.command("export", str(tmp_path / "readings.csv"), "--device", "attic")
        assert written.returncode == 0
        assert (tmp_path / "readings.csv").read_text().startswith("time,device_id,metric")


@pytest.mark.slow
def test_f50_a_backup_is_restored(tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    with running(data) as stack:
        send(stack, 1, 2, 3)
        assert stack.stop() == 0
    shutil.copytree(data, backup)
    with running(data) as stack:
        send(stack, 4, 5)
        assert stored(stack) == [1, 2, 3, 4, 5]
        assert stack.stop() == 0
    shutil.rmtree(data)
    shutil.copytree(backup, data)
    with running(data) as stack:
        assert stored(stack) == [1, 2, 3]
        assert stack.command("doctor").returncode == 0
        send(stack, 6)
        assert stored(stack) == [1, 2, 3, 6]
        books = stack.wait_until_drained()
    assert (books["lag"], books["difference"]) == (0, 0)
