"""F45: everybody connects at once, from ten thousand addresses; an old client is served meanwhile.

They come as after an outage: each with a lasting session and a message that waited.
"""

import asyncio
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.endpoint_rig import FAST, Client, Rig, endpoint

HERD = 10_000
PATIENCE_S = 120
SLOWEST_S = 5.0
ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "tests.adapters.herd_child")


@pytest.fixture
def descriptors() -> Iterator[None]:
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < HERD + 1_000:
        pytest.skip(f"only {most} descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S + 60)
@pytest.mark.usefixtures("descriptors")
async def test_f45_ten_thousand_clients_connect_at_once() -> None:
    async with endpoint(limits=replace(FAST, max_connections=HERD + 10)) as rig:
        old = await Client.connect(rig.port, "old")
        child = await asyncio.create_subprocess_exec(
            *COMMAND, str(rig.port), str(HERD), cwd=ROOT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout is not None
        assert child.stdin is not None
        try:
            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
                all_in = group.create_task(child.stdout.read(7))
                slowest_s = await served_meanwhile(old, all_in)
            check(rig)
            assert slowest_s < SLOWEST_S
            child.stdin.close()
            assert await child.wait() == 0
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()


async def served_meanwhile(old: Client, all_in: asyncio.Task[bytes]) -> float:
    """Publish until all are in; return the longest wait for an acknowledgement."""
    slowest_s = 0.0
    while not all_in.done():
        begun = time.monotonic()
        await old.publish("a/old", b"x")
        slowest_s = max(slowest_s, time.monotonic() - begun)
        await asyncio.sleep(0.05)
    assert all_in.result() == b"all in\n"
    return slowest_s


def check(rig: Rig) -> None:
    """Everybody is connected, and what everybody sent is in the log."""
    assert rig.broker.counters.clients == HERD + 1
    topics = {topic for topic, _ in rig.logged()}
    assert topics >= {f"iot/herd-{n}/telemetry" for n in range(HERD)}
