"""F46: the network between devices and endpoint is cut, loses packets, is slow; nothing is lost.

The simulator runs in a network namespace of its own, with one cable to the endpoint.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from millrace.adapters.broker_endpoint import EndpointAddresses
from tests.adapters.endpoint_rig import Rig, endpoint

DEVICES = 3
DURATION_S = 12
CUT_S = 3.0
START_S = 30


@dataclass(frozen=True)
class Cable:
    """A pair of network interfaces; the devices are at the far end, in a namespace."""

    namespace: str
    near: str
    address: str

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=10)


@pytest.fixture
def cable() -> Iterator[Cable]:
    number = os.getpid() % 60_000
    made = Cable(f"mr-{number}", f"mr{number}a", f"10.{200 + number % 50}.{number // 250 % 250}")
    far = f"mr{number}b"
    steps = (
        f"ip netns add {made.namespace}",
        f"ip link add {made.near} type veth peer name {far} netns {made.namespace}",
        f"ip addr add {made.address}.1/30 dev {made.near}",
        f"ip link set {made.near} up",
        f"ip -n {made.namespace} addr add {made.address}.2/30 dev {far}",
        f"ip -n {made.namespace} link set {far} up",
    )
    if shutil.which("ip") is None:
        pytest.skip("ip is not installed")
    try:
        for step in steps:
            done = made.run(*step.split())
            if done.returncode:
                pytest.skip(f"network namespaces are not allowed here: {done.stderr.strip()}")
        yield made
    finally:
        made.run("ip", "link", "del", made.near)
        made.run("ip", "netns", "del", made.namespace)


async def simulated(cable: Cable, rig: Rig) -> asyncio.subprocess.Process:
    """Start meters at the far end; what they cannot send they keep."""
    return await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", cable.namespace, sys.executable, "-m", "millrace", "simulate",
        "meters", "--count", str(DEVICES), "--rate", "30", "--duration", str(DURATION_S),
        "--seed", "1", "--url", f"mqtt://{cable.address}.1:{rig.port}",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


def numbers(rig: Rig) -> dict[str, set[int]]:
    """Return the sequence numbers that are in the log, by device."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for topic, payload in rig.logged():
        seq = json.loads(payload).get("seq")
        if seq is not None:
            found[topic.split("/")[1]].add(seq)
    return found


def check(rig: Rig, before: int) -> None:
    """Everybody spoke after the trouble, and no number is missing."""
    found = numbers(rig)
    assert len(found) == DEVICES
    for device, seqs in found.items():
        assert seqs == set(range(max(seqs) + 1)), device
    assert sum(map(len, found.values())) > before


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_f46_a_network_that_is_cut_and_heals(cable: Cable) -> None:
    addresses = EndpointAddresses(host=f"{cable.address}.1", port=0)
    async with endpoint(addresses=addresses) as rig:
        devices = await simulated(cable, rig)
        async with asyncio.timeout(START_S):
            while len(rig.logged()) < DEVICES * 5:  # noqa: ASYNC110 - the log wakes nobody
                await asyncio.sleep(0.05)
        cable.run("ip", "link", "set", cable.near, "down")
        await asyncio.sleep(CUT_S)
        before = len(rig.logged())
        cable.run("ip", "link", "set", cable.near, "up")
        _, said = await asyncio.wait_for(devices.communicate(), 60)
        assert devices.returncode == 0, said.decode()
        check(rig, before)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("trouble", ["loss 30%", "delay 1000ms 200ms"])
async def test_f46_a_network_that_loses_packets_or_is_slow(cable: Cable, trouble: str) -> None:
    words = ("tc", "qdisc", "add", "dev", cable.near, "root", "netem", *trouble.split())
    done = cable.run(*words)
    if done.returncode:
        pytest.skip(f"netem is not in this kernel: {done.stderr.strip()}")
    addresses = EndpointAddresses(host=f"{cable.address}.1", port=0)
    async with endpoint(addresses=addresses) as rig:
        devices = await simulated(cable, rig)
        _, said = await asyncio.wait_for(devices.communicate(), 90)
        assert devices.returncode == 0, said.decode()
        check(rig, DEVICES)
