"""F14: a process that runs out of memory ends or goes on; nothing acknowledged is lost.

The limit is that of the address space, set from outside while messages flow; the process that
takes the place of the dead one has none.
"""

import resource
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from millrace.decode.router import Router
from millrace.decode.step import decode
from millrace.model.codec import Address
from millrace.model.decoded import Decoded
from millrace.model.device import DeviceProfile
from millrace.model.message import RawBatch
from millrace.model.series import SeriesBook, Slots
from millrace.model.work import gather
from tests.faults.test_kill_processes import check
from tests.whole.devices import CountingDevice, CountingMeter, publish
from tests.whole.stack import Stack, running

MIB = 1 << 20
ROUNDS = 4
LARGE = ("iot/large/telemetry", b'{"measurements":[' + b" " * MIB)


def squeeze(pid: int, room: int) -> None:
    """Let a process have only so much more than it has."""
    used = psutil.Process(pid).memory_info().vms
    resource.prlimit(pid, resource.RLIMIT_AS, (used + room, resource.RLIM_INFINITY))


def relieve(pid: int) -> None:
    if psutil.pid_exists(pid):
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(pid, resource.RLIMIT_AS, unlimited)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["edge", "core"])
def test_f14_memory_runs_out_and_nothing_is_lost(name: str, tmp_path: Path) -> None:
    with running(tmp_path / "data") as stack:
        devices = [
            CountingMeter("m", stack.mqtt, rate=50),
            CountingDevice("s", stack.mqtt, rate=50),
        ]
        for device in devices:
            device.start()
        for round_ in range(ROUNDS):
            under_pressure(stack, name, room=round_ * MIB)
        for device in devices:
            device.finish()
        check(stack, devices)
        reasons = {row[0] for row in stack.rows("SELECT DISTINCT reason FROM dead_letters")}
    assert reasons <= {"bad_json"}, "a lack of memory is no fault of a message"


def under_pressure(stack: Stack, name: str, *, room: int) -> None:
    """Send large messages to a process that has no room for them, then let it breathe."""
    stack.wait_until(lambda: stack.pid(name) is not None)
    pid = stack.pid(name)
    assert pid is not None
    squeeze(pid, room)
    with suppress(OSError, RuntimeError):  # it may end meanwhile
        publish(stack.mqtt, *[LARGE] * 12, qos=0)
    stack.wait_until(lambda: stack.process.poll() is None)
    relieve(pid)
    stack.wait_until_ready()


class Hungry:
    """A codec that finds no memory."""

    family = "hungry"

    def address(self, topic: str) -> Address:
        return Address("hungry", "telemetry", topic)

    def compile(self, topic: str, profile: DeviceProfile, slots: Slots) -> "Hungry":
        return self

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        raise MemoryError


def test_f14_a_message_that_finds_no_memory_is_no_dead_letter() -> None:
    router = Router([Hungry()], SeriesBook())
    batch = RawBatch(0, 0)
    batch.add("a", b"", 1)
    wanted = router.missing(["a"])
    router.learn(wanted, {key: DeviceProfile(key[1], key[0]) for key in wanted})
    with pytest.raises(MemoryError):
        decode(gather([batch], 1), router)
