"""kill -9 at random moments with the log on Kafka: what was acknowledged is stored once.

Source: reliability.md P1, P4, P8; F1, F2.
"""

import random
import time
from pathlib import Path

import pytest

from tests.faults.test_kill_processes import check
from tests.servers.kafka import Kafka
from tests.whole.devices import CountingDevice, CountingMeter
from tests.whole.stack import running

pytestmark = pytest.mark.services

ROUNDS = 6
RATE = 80


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["edge", "core"])
def test_p1_p4_p8_killed_at_random_moments_on_kafka(
    kafka: Kafka, name: str, tmp_path: Path
) -> None:
    rng = random.Random(f"kill {name} on kafka")
    env = {
        "MILLRACE_LOG__URL": f"kafka://{kafka.servers}/kill_{name}",
        "MILLRACE_TOPICS__PARTITIONS": "4",
    }
    with running(tmp_path / "data", env=env) as stack:
        kinds = (CountingDevice, CountingMeter)
        devices = [kinds[n % 2](f"{name}-{n}", stack.mqtt, rate=RATE) for n in range(4)]
        for device in devices:
            device.start()
        for _ in range(ROUNDS):
            time.sleep(rng.uniform(0.3, 1.5))
            stack.kill(name)
        for device in devices:
            device.finish(60)
        check(stack, devices)
    assert all(device.sent > ROUNDS for device in devices)
