"""`millrace simulate` from the outside. D-56, D-57, MTR-152."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from millrace.cli.simulate import simulate
from millrace.errors import UsageError
from tests.servers.mosquitto import Mosquitto, running_mosquitto
from tests.servers.ports import free_port

services = pytest.mark.services


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path_factory.mktemp("broker")) as server:
        yield server


def run(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(simulate(), arguments, env=env, catch_exceptions=False)
    return result.exit_code, result.stdout


@services
@pytest.mark.parametrize("family", ["f2", "sensors", "meters", "meter"])
def test_a_summary_for_a_machine(mosquitto: Mosquitto, tmp_path: Path, family: str) -> None:
    code, text = run(
        family, "--count", "4", "--rate", "200", "--duration", "0.5", "--qos", "1", "--json",
        "--url", f"mqtt://127.0.0.1:{mosquitto.port}", "--data", str(tmp_path), "--health-port",
        "0", "--duplicates", "0.1",
    )  # fmt: skip
    said = json.loads(text)
    assert code == 0
    assert said["acknowledged"] == said["sent"] >= 100
    assert (said["failed"], said["devices"], said["connections"]) == (0, 4, 4)
    assert said["seconds"] > 0.4
    assert said["faults"]["duplicates"] == said["repeated"] > 0


@services
def test_meters_read_their_variables(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """MTR-152."""
    env = {
        "MQTT_BROKER": "127.0.0.1",
        "MQTT_PORT": str(mosquitto.port),
        "SAMPLING_CADENCE_MS": "100",
        "SEND_INTERVAL_S": "1",
        "HELLO_INTERVAL_S": "5",
        "DEVICE_COUNT": "2",
        "HEALTH_PORT": str(free_port()),
    }
    code, text = run("meters", "--duration", "1.2", "--json", "--data", str(tmp_path), env=env)
    said = json.loads(text)
    assert (code, said["devices"]) == (0, 2)
    assert said["sent"] >= 4


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", "ftp://somewhere"),
        ("--url", "mqtt://"),
        ("--url", "mqtt://host:port"),
        ("--start", "yesterday"),
        ("--gaps", "0.7", "--late", "0.7"),
    ],
)
def test_mistakes_are_usage_errors(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        run("sensors", *arguments, "--data", str(tmp_path), "--duration", "0.1")


@services
def test_the_demo_says_when_it_is_ready_and_ends_with_its_parent(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """D-01: a supervised child."""
    child = subprocess.Popen(
        [
            sys.executable, "-m", "millrace", "simulate", "demo", "--child",
            "--url", f"mqtt://127.0.0.1:{mosquitto.port}", "--data", str(tmp_path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    assert json.loads(child.stdout.readline()) == {"ready": ["demo"], "listening": {}}
    child.stdin.close()
    assert child.wait(20) == 0
    assert child.stderr is not None
    assert child.stderr.read() == b""
    child.stdout.close()
    child.stderr.close()
