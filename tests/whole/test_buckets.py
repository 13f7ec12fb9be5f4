"""History and archive in buckets and a store beside them, under a whole Millrace."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from millrace.adapters.archive_object import ObjectArchive
from millrace.objects import open_bucket
from tests.servers.s3 import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, running_moto
from tests.servers.victoria import Victoria, running_victoria
from tests.whole.devices import START_S, publish
from tests.whole.stack import running

pytestmark = [pytest.mark.services, pytest.mark.slow]


def environment(server: S3Server, victoria: Victoria) -> dict[str, str]:
    urls = [f"delta+s3://{BUCKET}/series", f"influxdb://127.0.0.1:{victoria.port}"]
    return {
        "MILLRACE_SERIES__URL": json.dumps(urls),
        "MILLRACE_SERIES__SEAL_AFTER_S": "1",
        "MILLRACE_ARCHIVE__URL": f"s3://{BUCKET}/raw",
        "MILLRACE_ARCHIVE__ROLL_S": "1",
        "MILLRACE_S3__ENDPOINT": server.endpoint,
        "MILLRACE_S3__ACCESS_KEY": ACCESS_KEY,
        "MILLRACE_S3__SECRET_KEY": SECRET_KEY,
    }


def meter(first: int, count: int) -> list[tuple[str, bytes]]:
    return [
        ("iot/m1/telemetry", json.dumps(
            {"seq": n, "ts": START_S + n,
             "measurements": [{"type": "voltage_dc", "val": n, "unit": "V"}]}
        ).encode())
        for n in range(first, first + count)
    ]  # fmt: skip


def wait_for(what: Callable[[], bool], timeout_s: float = 40.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_f30_d28_everything_arrives_in_buckets_and_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "servers"
    folder.mkdir()
    with running_moto(folder / "s3") as server, running_victoria(folder) as victoria:
        bucket = ObjectArchive(open_bucket(server.options()))

        def copied() -> list[float]:
            return sorted(one.value for one in victoria.samples("iot_telemetry_value"))

        def sealed() -> int:
            return sum(1 for _ in bucket.list("series/date="))

        with running(tmp_path / "data", env=environment(server, victoria)) as stack:
            publish(stack.mqtt, *meter(0, 50))
            stack.wait_until_drained()
            wait_for(lambda: len(copied()) == 50)
            wait_for(lambda: sealed() > 0)
            victoria.stop()
            publish(stack.mqtt, *meter(50, 50))
            stack.wait_until_drained()
            victoria.start()
            wait_for(lambda: len(copied()) == 100)
            query = "start=2026-03-01T12:00:00Z&stop=2026-03-01T13:00:00Z&limit=1000"
            found = stack.get(f"/api/devices/m1/metrics?{query}")["metrics"]
            assert sorted(one["value"] for one in found) == [float(n) for n in range(100)]
            wait_for(lambda: sum(1 for _ in bucket.list("raw/m1/")) > 0)
            assert stack.stop() == 0
        assert copied() == [float(n) for n in range(100)]
    assert stack.rows("SELECT next_offset FROM positions WHERE reader = 'series:influx'")[0][0] > 0
