"""Faults of the cluster, end to end: roles are killed, servers go away, and nothing is lost.

Two ingest and two process share the work; each test ends with acknowledged = stored, no duplicate,
counters balanced, lag 0.
Source: issue 3; P1, P4, P7, P8; F2, F3, F5, F15, F20, F22, F29, F30.
"""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest

from millrace.wiring import stores
from tests.conformance.cluster import DRAIN_S, Cluster, running_cluster
from tests.conformance.combinations import CLUSTER
from tests.servers.fault_proxy import Fault, FaultProxy, running_proxy
from tests.servers.kafka import Kafka
from tests.servers.mosquitto import Mosquitto, running_mosquitto
from tests.servers.postgres import Postgres, running_postgres
from tests.servers.redis import RedisServer, running_redis
from tests.servers.s3 import running_moto
from tests.whole.devices import CountingMeter

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(240)]

DEVICES = 4
RATE = 25


@dataclass
class Site:
    """A cluster and the servers that it stands on, which may be ended."""

    cluster: Cluster
    mosquitto: Mosquitto
    postgres: Postgres
    redis: RedisServer
    s3: FaultProxy

    def devices(self, name: str) -> list[CountingMeter]:
        """Start devices that publish until they are told to finish."""
        found = [
            CountingMeter(f"{name}-{n}", self.mosquitto.port, rate=RATE) for n in range(DEVICES)
        ]
        for one in found:
            one.start()
        self.cluster.wait_until(lambda: len(found[0].acknowledged) > 20)
        return found

    def check(self, devices: list[CountingMeter]) -> None:
        """What was acknowledged is stored, once; the books balance; nothing waits."""
        for one in devices:
            one.finish()
        self.cluster.wait_until_ready()
        stored: dict[str, list[float]] = {}

        def is_whole() -> bool:
            stored.update(self.cluster.exported("temperature_celsius"))
            return all(set(stored.get(one.name, ())) >= one.acknowledged for one in devices)

        self.cluster.wait_until(is_whole, every_s=1.0)
        books = self.cluster.wait_until_stored(0)
        assert (books.lag, books.difference) == (0, 0)
        assert books.dead_letter.total() == 0
        for one in devices:
            assert len(one.acknowledged) == one.sent
            assert stored[one.name] == list(range(one.sent)), one.name


@pytest.fixture(scope="module")
def site(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack:
        moto = stack.enter_context(running_moto(folder / "moto"))
        proxy, endpoint = stack.enter_context(running_proxy(moto.endpoint))
        servers: dict[str, Any] = {
            "kafka": kafka,
            "mosquitto": stack.enter_context(running_mosquitto(folder)),
            "postgres": stack.enter_context(running_postgres()),
            "redis": stack.enter_context(running_redis(folder)),
            "s3": replace(moto, endpoint=endpoint),
        }
        tree, _ = CLUSTER.tree(servers.__getitem__, folder.name)
        cluster = stack.enter_context(running_cluster(folder, tree))
        stores.migrate(cluster.settings)
        replace(CLUSTER, roles={**CLUSTER.roles, "ingest": 2}).start(cluster)
        del servers["kafka"]
        yield Site(cluster, **{**servers, "s3": proxy})


@pytest.mark.parametrize("role", ["ingest", "process", "tend", "serve"])
def test_p1_p4_p8_a_role_is_killed_at_random_moments(site: Site, role: str) -> None:
    rng = random.Random(f"cluster {role}")
    devices = site.devices(role)
    for _ in range(3):
        time.sleep(rng.uniform(0.1, 1.5))
        name = rng.choice([one.name for one in site.cluster.roles.values() if one.role == role])
        site.cluster.roles[name].kill()
        site.cluster.restart(name)
    site.check(devices)


def test_f22_postgresql_is_stopped_for_a_while(site: Site) -> None:
    devices = site.devices("store")
    site.postgres.stop()
    time.sleep(5)
    site.postgres.start()
    site.check(devices)


def test_f29_redis_is_flushed_and_killed(site: Site) -> None:
    devices = site.devices("live")
    site.redis.client().flushall()
    time.sleep(1)
    site.redis.kill()
    time.sleep(2)
    assert site.cluster.fetch("/api/latest?limit=1")
    site.redis.start()
    site.check(devices)


def test_f30_s3_answers_500(site: Site) -> None:
    devices = site.devices("objects")
    before = site.s3.faults
    site.s3.plan = lambda _: Fault.ERROR_500
    site.cluster.wait_until(lambda: site.s3.faults > before)
    time.sleep(3)
    site.s3.plan = lambda _: None
    site.check(devices)


def test_f15_mosquitto_is_restarted(site: Site) -> None:
    devices = site.devices("broker")
    site.mosquitto.stop()
    time.sleep(1)
    site.mosquitto.start()
    site.check(devices)


def test_f51_every_process_drains_within_ten_seconds(site: Site) -> None:
    devices = site.devices("drain")
    for name, one in list(site.cluster.roles.items()):
        began = time.monotonic()
        assert one.stop() == 0, site.cluster.story()
        assert time.monotonic() - began < DRAIN_S
        site.cluster.restart(name)
    site.check(devices)
