"""Readings copied to a real server, refused, bisected, retried."""

import gzip
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from millrace.adapters.series_influx import InfluxOptions, InfluxSeries
from millrace.errors import RetryError
from millrace.ports.sink import SeriesName, SinkRows
from tests.contracts.hot_memory import SECOND_NS, START_NS
from tests.servers.fault_proxy import AWAY, Asked, Fault, FaultProxy, running_proxy
from tests.servers.victoria import Victoria, running_victoria

pytestmark = pytest.mark.services
NAMES = {
    1: SeriesName("meter 1", "voltage_dc", ""),
    2: SeriesName("s,2", "temperature_celsius", ""),
    3: SeriesName("s,2", "meta_battery_level", ""),
}
ATTRIBUTES = {1: {"unit": "V"}, 2: {"device_type": "temperature_sensor", "location": "a=b \\"}}


def rows(count: int, series: tuple[int, ...] = (1, 2, 3)) -> SinkRows:
    ids = np.resize(np.array(series, np.int64), count)
    numbers = np.arange(count, dtype=np.int64)
    return SinkRows(
        ids,
        np.where(ids == 1, 1, 2),
        START_NS + numbers * SECOND_NS,
        numbers.astype(np.float64) + 0.5,
        START_NS + numbers,
        numbers,
        NAMES,
        ATTRIBUTES,
    )


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[Victoria]:
    with running_victoria(tmp_path) as server:
        yield server


@pytest.fixture
def faulty(victoria: Victoria) -> Iterator[tuple[FaultProxy, InfluxSeries]]:
    with running_proxy(victoria.url) as (proxy, endpoint):
        options = InfluxOptions(endpoint, timeout_s=1, batch_lines=64)
        with closing(InfluxSeries(options)) as sink:
            yield proxy, sink


def values(victoria: Victoria) -> list[float]:
    return sorted(one.value for one in victoria.samples('{__name__=~".+_.+"}'))


def test_mtr120_sns080_what_is_written_is_there(victoria: Victoria) -> None:
    with closing(InfluxSeries(InfluxOptions(victoria.url))) as sink:
        assert sink.write(rows(6)) == []
        assert sink.write(rows(6)) == [], "again changes nothing"
    found = victoria.samples()
    meter = {
        "__name__": "iot_telemetry_value", "device_id": "meter 1",
        "metric": "voltage_dc", "unit": "V",
    }  # fmt: skip
    sensor = {"device_id": "s,2", "location": "a=b /"}
    battery = {"__name__": "temperature_sensor_meta_battery_level", **sensor}
    degrees = {"__name__": "temperature_sensor_temperature_celsius", **sensor}
    start_ms = START_NS // 1_000_000
    expected = [
        (meter, start_ms, 0.5), (meter, start_ms + 3000, 3.5),
        (battery, start_ms + 2000, 2.0), (battery, start_ms + 5000, 6.0),
        (degrees, start_ms + 1000, 1.5), (degrees, start_ms + 4000, 4.5),
    ]  # fmt: skip
    assert {(tuple(sorted(one[0].items())), *one[1:]) for one in expected} == {
        (tuple(sorted(one.labels.items())), one.time_ms, one.value) for one in found
    }


@pytest.mark.parametrize("fault", AWAY)
def test_d28_what_fails_is_written_again_whole(
    victoria: Victoria, faulty: tuple[FaultProxy, InfluxSeries], fault: Fault
) -> None:
    proxy, sink = faulty
    left = [fault]
    proxy.plan = lambda asked: left.pop() if asked.number == 2 and left else None
    with pytest.raises(RetryError):
        sink.write(rows(200, (1,)))
    assert sink.write(rows(200, (1,))) == []
    assert values(victoria) == [n + 0.5 for n in range(200)]


def test_each_family_has_its_bucket(faulty: tuple[FaultProxy, InfluxSeries]) -> None:
    proxy, sink = faulty
    sink.write(rows(6))
    assert [asked.path for asked in proxy.asked] == [
        "/api/v2/write?org=iot-org&bucket=iot-metrics&precision=ns",
        "/api/v2/write?org=iot-org&bucket=sensor-data&precision=ns",
    ]
    assert [text_of(asked).count("\n") + 1 for asked in proxy.asked] == [2, 4]


def text_of(asked: Asked) -> str:
    return gzip.decompress(asked.body).decode()


def test_mtr121_refused_lines_are_found_and_the_others_written(
    victoria: Victoria, faulty: tuple[FaultProxy, InfluxSeries]
) -> None:
    proxy, sink = faulty
    bad = {17.5, 18.5, 90.5}
    marks = [f"value={value} " for value in bad]
    proxy.plan = lambda asked: (
        Fault.REFUSE_400 if any(mark in text_of(asked) for mark in marks) else None
    )
    refused = sink.write(rows(128, (1,)))
    assert sorted(one.row for one in refused) == [17, 18, 90]
    assert "partial write" in refused[0].detail
    assert values(victoria) == sorted({n + 0.5 for n in range(128)} - bad)
    assert len(proxy.asked) < 40


def test_a_token_is_sent_and_never_said(victoria: Victoria) -> None:
    options = InfluxOptions(victoria.url, token="a-secret-token")  # noqa: S106 - of this test
    assert "a-secret-token" not in repr(options)
    with closing(InfluxSeries(options)) as sink:
        sink.write(rows(1))
        victoria.kill()
        with pytest.raises(RetryError) as raised:
            sink.write(rows(1))
        assert "a-secret-token" not in str(raised.value)
        victoria.start()
        assert sink.write(rows(1)) == []
