"""Roles as processes of their own: health, copies, and an end that drains.

Source: issue 3, item 7; D-57, MON-002, MON-003, F49, F51.
"""

import json
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from millrace.wiring import stores
from millrace.wiring.health import PLACES
from tests.conformance.cluster import Cluster, running_cluster
from tests.servers.ports import free_port
from tests.whole.devices import CountingMeter, publish

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ROLES = ("ingest", "process", "tend", "serve")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    port = free_port()
    tree = {"broker": {"url": f"endpoint://127.0.0.1:{port}", "websocket_port": "off"}}
    with running_cluster(tmp_path, tree) as cluster:
        stores.migrate(cluster.settings)
        for role in ROLES:
            cluster.start(role)
        cluster.wait_until_ready()
        yield cluster


def free_ports(count: int) -> int:
    """Return the first of some free ports in a row, below those that the system gives away."""
    while True:
        first = random.randrange(20_000, 30_000)
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def mqtt_port(cluster: Cluster) -> int:
    return int(str(cluster.tree["broker"]["url"]).rpartition(":")[2])


def test_d57_every_role_tells_how_it_is(cluster: Cluster) -> None:
    for role in ROLES:
        one = cluster.roles[role]
        cluster.wait_until(lambda one=one: one.ask("/readyz")[0] == 200)  # type: ignore[misc]
        status, text = one.ask("/healthz")
        assert (status, json.loads(text)["status"]) == (200, "alive")
        status, text = one.ask("/metrics")
        assert status == 200
        assert "millrace_" in text


def test_f49_a_second_ingest_says_why_it_cannot_share_an_embedded_log(cluster: Cluster) -> None:
    other = f"endpoint://127.0.0.1:{free_port()}"
    second = cluster.start("ingest", "second", MILLRACE_BROKER__URL=other)
    assert second.process.wait(30) == 1
    said = second.log.read_text()
    assert f"pid {cluster.roles['ingest'].process.pid}" in said
    assert "Traceback" not in said
    assert cluster.roles["ingest"].ask("/readyz")[0] == 200


def test_f51_every_role_drains_within_ten_seconds_and_loses_nothing(cluster: Cluster) -> None:
    port = mqtt_port(cluster)
    meters = [CountingMeter(f"m{n}", port, rate=60) for n in range(3)]
    for meter in meters:
        meter.start()
    cluster.wait_until(lambda: len(meters[0].acknowledged) > 40)
    for role in (*ROLES, "process"):
        began = time.monotonic()
        assert cluster.roles[role].stop() == 0, cluster.story()
        assert time.monotonic() - began < 10
        cluster.start(role)
        cluster.wait_until_ready()
    for meter in meters:
        meter.finish()
    books = cluster.wait_until_stored(sum(meter.sent for meter in meters))
    assert books.difference == 0
    assert books.dead_letter.total() == 0
    values = cluster.exported("temperature_celsius")
    for meter in meters:
        assert values[meter.name] == list(range(meter.sent))


def test_d57_the_ports_of_roles_are_their_places(tmp_path: Path) -> None:
    base = free_ports(len(PLACES))
    port = free_port()
    tree = {
        "broker": {"url": f"endpoint://127.0.0.1:{port}", "websocket_port": "off"},
        "monitor": {"base_port": base},
    }
    with running_cluster(tmp_path, tree) as cluster:
        stores.migrate(cluster.settings)
        for role in ("ingest", "process", "tend"):
            cluster.start(role)
        cluster.wait_until_ready()
        for role in ("ingest", "process", "tend"):
            address = f"http://127.0.0.1:{base + PLACES.index(role)}/metrics"
            assert (cluster.roles[role].said or {})[f"{role} metrics"] == address
        publish(port, ("iot/m/telemetry", b'{"x":1}'))
        cluster.wait_until_stored(1)
