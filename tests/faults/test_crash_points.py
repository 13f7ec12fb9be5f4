"""The process dies at each named point of the code, under load; then everything is checked.

One data folder goes through all points, because damage done at one shows at the next.
Source: reliability.md section 3, F1 to F3; P1, P4, P7, P8.
"""

import time
from pathlib import Path

import pytest

from tests.faults.test_kill_processes import check, kill_all
from tests.servers.ports import free_port
from tests.whole.devices import CountingDevice, CountingMeter
from tests.whole.stack import running

POINTS = {
    "edge": (
        "log_before_append",
        "log_before_commit",
        "log_after_commit",
        "log_after_append",
        "after_append_before_ack",
        "after_ack",
    ),
    "core": ("pump_before_commit", "ledger_before_commit", "ledger_after_commit"),
}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("process", ["edge", "core"])
def test_f1_f2_every_crash_point(process: str, tmp_path: Path) -> None:
    ports = free_port(), free_port()
    data = tmp_path / "data"
    devices: list[CountingDevice] = []
    with running(data, ports=ports):
        for n, kind in enumerate((CountingMeter, CountingDevice, CountingMeter)):
            devices.append(kind(f"{process}-{n}", ports[1], rate=60))
            devices[-1].start()
        time.sleep(0.5)
    for calls, point in enumerate(POINTS[process], start=1):
        die_at(point, calls, process, data, ports)
    with running(data, ports=ports) as stack:
        for device in devices:
            device.finish()
        check(stack, devices)


def die_at(
    point: str,
    calls: int,
    process: str,
    data: Path,
    ports: tuple[int, int],
    env: dict[str, str] | None = None,
) -> None:
    """Run until a process has died of a crash point, then end everything like a power cut."""
    armed = {**(env or {}), "CRASH_AT": f"{point}:{calls}"}
    with running(data, ports=ports, env=armed, wait=False) as stack:
        before = stack.log.stat().st_size
        death = f"child_died name={process}".encode()
        stack.wait_until(lambda: death in stack.log.read_bytes()[before:], timeout_s=60)
        kill_all(stack)
