"""Readings over HTTP: API-030 to API-035, API-037; attacks A20, A24, A29, A42."""

import asyncio
import csv
import io
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI

from tests.serve.conftest import client_of
from tests.serve.memory import Town

NOW_NS = 1_772_366_400_000_000_000  # 2026-03-01T12:00:00Z
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS


@pytest.fixture(autouse=True)
def _readings(town: Town) -> None:
    town.add_device("car-1")
    volts = town.series_id("car-1", "voltage_dc")
    warm = town.series_id("car-1", "temperature_celsius", "a")
    rows = [(volts, NOW_NS - n * MINUTE_NS, 700.0 + n, 4 if n == 3 else 0, 1) for n in range(1, 11)]
    town.commit([*rows, (warm, NOW_NS - 2 * MINUTE_NS + 1, 21.5, 0, 2)], NOW_NS)


async def test_api_030_is_sorted_by_time_over_all_series(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/devices/car-1/metrics?start=-3m")).json()
    assert [(row["metric"], row["time"]) for row in body["metrics"]] == [
        ("voltage_dc", "2026-03-01T11:57:00Z"),
        ("voltage_dc", "2026-03-01T11:58:00Z"),
        ("temperature_celsius", "2026-03-01T11:58:00.000000001Z"),
        ("voltage_dc", "2026-03-01T11:59:00Z"),
    ]
    assert body["metrics"][0] == {
        "time": "2026-03-01T11:57:00Z", "device_id": "car-1", "metric": "voltage_dc",
        "channel": "", "value": 703.0, "unit": "V", "quality": ["clock"],
    }  # fmt: skip
    assert (await client.get("/api/devices/nobody/metrics")).json() == {"metrics": [], "next": None}


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_api_030_pages_freeze_their_span(
    client: httpx.AsyncClient, clock: Any, order: str
) -> None:
    seen: list[str] = []
    url = f"/api/devices/car-1/metrics?metric=voltage_dc&limit=3&order={order}"
    cursor: str | None = ""
    while cursor is not None:
        body = (await client.get(url + (f"&cursor={cursor}" if cursor else ""))).json()
        seen += [row["time"] for row in body["metrics"]]
        cursor = body["next"]
        clock.advance(3000)
    assert len(seen) == 10
    assert seen == sorted(seen, reverse=order == "desc")


async def test_api_030_channel_filter(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/devices/car-1/metrics?channel=a&channel=b")).json()
    assert [row["channel"] for row in body["metrics"]] == ["a"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("start=yesterday", "invalid_field"),
        ("start=2026-03-01", "invalid_field"),
        ("start=2026-03-01T12:00:00", "invalid_field"),
        ("start=-5y", "invalid_field"),
        ("start=NaN", "invalid_field"),
        ("start=now()", "invalid_range"),
        ("stop=-2h", "invalid_range"),
        ("limit=0", "invalid_field"),
        ("limit=-1", "invalid_field"),
        ("limit=10001", "invalid_field"),
        ("limit=99999999999999999999999", "invalid_field"),
        ("limit=NaN", "invalid_field"),
        ("order=sideways", "invalid_field"),
        ("metric=" + "&metric=".join("m" * 201), "invalid_field"),
        ("colour=red", "unknown_parameter"),
    ],
)
async def test_a42_api_002_bad_parameters_name_their_field(
    client: httpx.AsyncClient, query: str, code: str
) -> None:
    answer = await client.get(f"/api/devices/car-1/metrics?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    if code != "invalid_range":
        assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    "start",
    [
        "2026-03-01T11:58:00Z", "2026-03-01T12:58:00%2B01:00", "2026-03-01T12:58:00+01:00",
        "-120s", "-2m",
    ],
)  # fmt: skip
async def test_api_002_forms_of_an_instant(client: httpx.AsyncClient, start: str) -> None:
    url = f"/api/devices/car-1/metrics?metric=voltage_dc&start={start}"
    assert len((await client.get(url)).json()["metrics"]) == 2


async def test_a20_names_are_values_never_sql(client: httpx.AsyncClient) -> None:
    for name in ("' OR 1=1 --", "voltage_dc'; DROP TABLE devices; --", "%", "*"):
        answer = await client.get("/api/devices/car-1/metrics", params={"metric": name})
        assert answer.json() == {"metrics": [], "next": None}
        answer = await client.get("/api/aggregates", params={"fn": name})
        assert answer.json()["code"] == "invalid_field"


async def test_api_031_latest_is_newest_by_time_not_by_arrival(
    client: httpx.AsyncClient, town: Town
) -> None:
    volts = town.series_id("car-1", "voltage_dc")
    town.commit([(volts, NOW_NS - 3600 * SECOND_NS, 1.0, 0, 1)], NOW_NS)
    body = (await client.get("/api/latest?metric=voltage_dc")).json()
    assert [row["value"] for row in body["latest"]] == [701.0]
    body = (await client.get("/api/latest?limit=1")).json()
    rest = (await client.get(f"/api/latest?limit=1&cursor={body['next']}")).json()
    metrics = [row["metric"] for row in body["latest"] + rest["latest"]]
    assert metrics == ["voltage_dc", "temperature_celsius"]
    assert rest["next"] is None


async def test_api_031_post_takes_ids(client: httpx.AsyncClient) -> None:
    asked = {"device_ids": ["car-1", "nobody"], "metrics": ["temperature_celsius"]}
    body = (await client.post("/api/latest", json=asked)).json()
    assert body["latest"][0]["unit"] == "°C"
    assert len(body["latest"]) == 1
    too_many = await client.post("/api/latest", json={"device_ids": ["x"] * 10_001})
    assert too_many.json()["errors"][0]["field"] == "device_ids"


async def test_api_032_windows(client: httpx.AsyncClient) -> None:
    url = "/api/devices/car-1/aggregates?metric=voltage_dc&every=5m&fn=mean&fn=count&start=-10m"
    body = (await client.get(url)).json()
    assert body == {
        "aggregates": [
            {
                "device_id": "car-1", "metric": "voltage_dc", "channel": "", "unit": None,
                "every": "5m",
                "points": [
                    {"time": "2026-03-01T11:50:00Z", "mean": 708.0, "count": 5},
                    {"time": "2026-03-01T11:55:00Z", "mean": 703.0, "count": 5},
                ],
            }
        ],
        "next": None,
    }  # fmt: skip
    fleet = (await client.get(url.replace("devices/car-1/", "") + "&device_id=car-1")).json()
    assert fleet == body


async def test_api_032_fill_null_shows_empty_windows(client: httpx.AsyncClient) -> None:
    url = "/api/aggregates?metric=voltage_dc&every=1m&start=-13m&fill=null"
    points = (await client.get(url)).json()["aggregates"][0]["points"]
    assert len(points) == 13
    assert [point["mean"] for point in points[:4]] == [None, None, None, 710.0]


async def test_a24_too_many_points_says_what_would_work(client: httpx.AsyncClient) -> None:
    url = "/api/aggregates?start=1976-01-01T00:00:00Z&every=1s&fill=null"
    answer = await client.get(url)
    assert (answer.status_code, answer.json()["code"]) == (400, "too_many_points")
    width = answer.json()["min_every"]
    assert (await client.get(url.replace("every=1s", f"every={width}"))).status_code != 400
    for bad in ("every=0s", "every=-5m", "every=5", "every=1y", "tz=Mars/Olympus", "tz=../etc"):
        answer = await client.get(f"/api/aggregates?{bad}")
        assert answer.json()["code"] == "invalid_field", bad


async def test_api_034_climate(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/device/car-1/latest")).json() == {
        "device_id": "car-1", "temperature": 21.5, "humidity": None, "health_score": None,
        "timestamp": "2026-03-01T11:58:00.000000001Z",
    }  # fmt: skip
    assert (await client.get("/api/device/nobody/latest")).json()["code"] == "device_not_found"


async def test_api_035_history_is_minutes_of_all_fields(client: httpx.AsyncClient) -> None:
    found: list[Any] = []
    cursor = ""
    while cursor is not None:
        url = "/api/device/car-1/history?hours=1&limit=4" + (f"&cursor={cursor}" if cursor else "")
        body = (await client.get(url)).json()
        found += body["data"]
        cursor = body["next"]
    assert len(found) == 11
    assert found[-2:] == [
        {"timestamp": "2026-03-01T11:58:00Z", "field": "voltage_dc", "value": 702.0},
        {"timestamp": "2026-03-01T11:59:00Z", "field": "voltage_dc", "value": 701.0},
    ]
    assert found[-3]["field"] == "temperature_celsius.a"


async def test_api_037_series(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/devices/car-1/series?limit=1")).json()
    assert body["series"] == [
        {
            "metric": "temperature_celsius", "channel": "a", "unit": "°C",
            "first": "2026-03-01T11:58:00.000000001Z", "last": "2026-03-01T11:58:00.000000001Z",
            "count": 1, "attributes": {"pin": 3},
        }
    ]  # fmt: skip
    rest = (await client.get(f"/api/devices/car-1/series?limit=1&cursor={body['next']}")).json()
    assert (rest["series"][0]["metric"], rest["series"][0]["count"]) == ("voltage_dc", 10)
    assert rest["next"] is None


async def test_api_033_a29_csv_guards_formulas(client: httpx.AsyncClient, town: Town) -> None:
    evil = town.series_id("=cmd|' /C calc'!A1", "@sum", "-1+1")
    town.commit([(evil, NOW_NS - 1, -1.5, 0, 0)], NOW_NS)
    answer = await client.get("/api/export/points")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="points.csv"'
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert rows[0] == ["time", "device_id", "metric", "channel", "value", "unit", "quality"]
    assert rows[1][1:5] == ["'=cmd|' /C calc'!A1", "'@sum", "'-1+1", "-1.5"]
    assert rows[2][1:3] == ["car-1", "temperature_celsius"]
    assert [row[0] for row in rows[3:]] == sorted(row[0] for row in rows[3:])
    assert len(rows) == 13


@pytest.mark.parametrize("form", ["parquet", "arrow"])
async def test_api_033_columnar_forms(client: httpx.AsyncClient, form: str) -> None:
    content = (await client.get(f"/api/export/points?format={form}")).content
    opened: dict[str, Callable[[], pa.Table]] = {
        "parquet": lambda: pq.read_table(pa.BufferReader(content)),
        "arrow": lambda: pa.ipc.open_stream(content).read_all(),
    }
    table = opened[form]()
    assert table.schema.field("time").type == pa.timestamp("ns", "UTC")
    rows = table.drop_columns(["time"]).to_pylist()
    assert len(rows) == 11
    assert rows[0]["channel"] == "a"
    assert [row["quality"] for row in rows if row["quality"]] == [["clock"]]


async def test_api_033_an_empty_export_is_a_whole_file(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/export/points?device_id=nobody")
    assert answer.text == "time,device_id,metric,channel,value,unit,quality\r\n"


async def test_a_question_that_takes_too_long_is_503_and_others_go_on(
    make_app: Callable[..., FastAPI], town: Town
) -> None:
    released = threading.Event()

    def hang() -> None:
        released.wait()

    town.block = hang
    async with client_of(make_app(query_deadline_s=0.05)) as client:
        answer = await client.get("/api/devices/car-1/metrics")
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert answer.headers["retry-after"] == "1"
        assert (await client.get("/api/devices/car-1")).status_code == 200
        released.set()


async def test_b5_an_export_does_not_hold_up_other_questions(
    client: httpx.AsyncClient, town: Town
) -> None:
    town.commit([(town.series_id("car-2", "odd"), NOW_NS - 1, 1.0, 0, 0)], NOW_NS)
    begun, released = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        released.wait()

    town.block = hang
    async with asyncio.TaskGroup() as tasks:
        export = tasks.create_task(client.get("/api/export/points"))
        await asyncio.to_thread(begun.wait)
        try:
            answer = await client.get("/api/latest?device_id=car-2")
            assert [point["value"] for point in answer.json()["latest"]] == [1.0]
            assert not export.done()
        finally:
            released.set()
    assert len(export.result().text.splitlines()) == 13


async def test_api_030_any_name_and_number_is_valid_json(
    client: httpx.AsyncClient, town: Town
) -> None:
    odd = town.series_id('q"uote', "back\\slash", "\u2028\x07")
    values = [5.0, -0.0, 1e300, 5e-324, float("nan"), float("inf"), 0.1]
    times = [NOW_NS - 10 + at for at in range(len(values))]
    rows = [(odd, time_ns, value, 4, 1) for time_ns, value in zip(times, values, strict=True)]
    town.commit(rows, NOW_NS)
    found = (await client.get("/api/devices/q%22uote/metrics")).json()["metrics"]
    assert [point["value"] for point in found] == [5.0, -0.0, 1e300, 5e-324, None, None, 0.1]
    names = {(point["device_id"], point["metric"], point["channel"]) for point in found}
    assert names == {('q"uote', "back\\slash", "\u2028\x07")}
    assert found[0]["quality"] == ["clock"]
    members = ["time", "device_id", "metric", "channel", "value", "unit", "quality"]
    assert list(found[0]) == members
