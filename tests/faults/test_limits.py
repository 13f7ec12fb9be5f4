"""Full disks, too few file descriptors, clocks that jump, orders to end: the whole stack.

Source: F11, F13, F32, F51, P1, P8, D-17.
"""

import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.test_kill_processes import check
from tests.whole.devices import CountingDevice, CountingMeter, publish
from tests.whole.stack import Stack, running

DAY_S = 86_400
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MB, of our own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "millrace-test", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Take all the space there is."""
    block = bytes(1 << 16)
    with ballast.open("wb", buffering=0) as sink:
        try:
            while True:
                sink.write(block)
        except OSError:
            block = bytes(512)
        try:
            while True:
                sink.write(block)
        except OSError:
            return


@pytest.mark.slow
def test_f11_a_full_disk_is_waited_for_and_nothing_is_lost(small_disk: Path) -> None:
    data = small_disk / "data"
    with running(data) as stack:
        devices = [
            CountingMeter("m", stack.mqtt, rate=50),
            CountingDevice("s", stack.mqtt, rate=50),
        ]
        for device in devices:
            device.start()
        stack.wait_until(lambda: len(devices[0].acknowledged) > 20)
        pids = [stack.pid(name) for name in ("edge", "core", "serve")]
        fill(small_disk / "ballast")
        stack.wait_until(lambda: not stands(stack, "ingest"), timeout_s=60)
        before = [len(device.acknowledged) for device in devices]
        time.sleep(2)
        assert [len(device.acknowledged) for device in devices] == before, "acknowledged on air"
        assert all(device.sent > count for device, count in zip(devices, before, strict=True))
        (small_disk / "ballast").unlink()
        stack.wait_until(lambda: stands(stack, "ingest"), timeout_s=30)
        for device in devices:
            device.finish()
        check(stack, devices)
        assert [stack.pid(name) for name in ("edge", "core", "serve")] == pids, (
            stack.log.read_text()
        )


def stands(stack: Stack, role: str) -> bool:
    """Say whether a role is ready to accept work."""
    try:
        return stack.role(role, "/readyz")[0] == 200
    except OSError:
        return False


def test_f13_without_file_descriptors_old_connections_go_on(tmp_path: Path) -> None:
    with running(tmp_path / "data") as stack:
        device = CountingMeter("m", stack.mqtt, rate=50)
        device.start()
        edge = psutil.Process(stack.pid("edge"))
        limit = edge.num_fds() + 4
        usual, most = resource.prlimit(edge.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(edge.pid, resource.RLIMIT_NOFILE, (limit, most))
        crowd = [socket.create_connection(("127.0.0.1", stack.mqtt), 5) for _ in range(40)]
        before = len(device.acknowledged)
        stack.wait_until(lambda: len(device.acknowledged) > before + 50)
        for sock in crowd:
            sock.close()
        resource.prlimit(edge.pid, resource.RLIMIT_NOFILE, (usual, most))
        publish(stack.mqtt, ("iot/late/telemetry", b'{"x": 1}'))
        device.finish()
        check(stack, [device])
        assert stack.pid("edge") == edge.pid, "it was restarted"


@pytest.mark.slow
@pytest.mark.skipif(not Path(FAKETIME).exists(), reason="libfaketime is not installed")
def test_f32_the_clock_jumps_a_day_forth_and_back(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text("+0")
    fake = {
        "LD_PRELOAD": FAKETIME,
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    with running(tmp_path / "data", env=fake) as stack:
        devices = [
            CountingMeter("m", stack.mqtt, rate=50),
            CountingDevice("s", stack.mqtt, rate=50),
        ]
        for device in devices:
            device.start()
        for jump in (DAY_S, -DAY_S, 0):
            offset.write_text(f"{jump:+d}")
            stack.wait_until(lambda jump=jump: abs(receipt(stack) - time.time() - jump) < 5)  # type: ignore[misc]
            assert stack.books()["difference"] == 0
        for device in devices:
            device.finish()
        check(stack, devices)
        assert "child_died" not in stack.log.read_text()


def receipt(stack: Stack) -> float:
    """Return the instant at which the newest stored message was received, in seconds."""
    query = "SELECT committed_at_ns FROM hot_batches ORDER BY id DESC LIMIT 1"
    return max((row[0] for row in stack.rows(query)), default=0) / 1e9


def test_f51_an_order_to_end_is_followed_within_ten_seconds(tmp_path: Path) -> None:
    with running(tmp_path / "data") as stack:
        device = CountingMeter("m", stack.mqtt, rate=200)
        device.start()
        stack.wait_until(lambda: len(device.acknowledged) > 100)
        begun = time.monotonic()
        assert stack.stop() == 0, stack.log.read_text()
        assert time.monotonic() - begun < 10
        assert "Traceback" not in stack.log.read_text()
    with running(tmp_path / "data", ports=(stack.http, stack.mqtt)) as after:
        device.finish()
        check(after, [device])


def test_f51_children_never_outlive_their_parent(tmp_path: Path) -> None:
    with running(tmp_path / "data") as stack:
        children = psutil.Process(stack.process.pid).children(recursive=True)
        assert len(children) == 3
        os.kill(stack.process.pid, signal.SIGKILL)
        stack.process.wait()
        gone, alive = psutil.wait_procs(children, 10)
        for child in alive:
            child.kill()
        assert not alive
        assert len(gone) == 3


@pytest.mark.slow
def test_f51_a_child_that_hangs_does_not_keep_the_others(tmp_path: Path) -> None:
    with running(tmp_path / "data") as stack:
        serve = stack.pid("serve")
        assert serve is not None
        os.kill(serve, signal.SIGSTOP)
        begun = time.monotonic()
        stack.stop(20)
        assert time.monotonic() - begun < 15
        assert not psutil.pid_exists(serve)
