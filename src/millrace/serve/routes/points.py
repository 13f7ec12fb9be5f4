"""Points: readings as they were stored, the newest ones, and the series they belong to.

Source: API-030, API-031, API-034, API-037.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import orjson
import pyarrow as pa
from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from millrace.ports.registry import SeriesRow
from millrace.ports.series import Span
from millrace.serve import render
from millrace.serve.answers import json_answer, json_bytes, read_body
from millrace.serve.instants import format_instant, read_span
from millrace.serve.parameters import (
    Cursor,
    LatestFilters,
    NoQuery,
    Nothing,
    PointFilters,
    SeriesFilters,
    Text,
    Texts,
)
from millrace.serve.room import Here, Page, Room, check_id
from millrace.serve.routes.route import Route

ALL_LATEST = 100_000
# So many are rendered in a millisecond or two: less than another wait for the query thread.
FEW_ROWS = 1_000
Extent = tuple[int, int, int]

TEMPERATURE, HUMIDITY, HEALTH = "temperature_celsius", "humidity_percent", "health_score"


class LatestBody(Nothing):
    """API-031, POST."""

    device_ids: Annotated[list[Text], Field(default_factory=list, max_length=10_000)]
    metrics: Texts


class LatestPage(Nothing):
    """Parameters of API-031, POST."""

    limit: Annotated[int, Field(ge=1, le=ALL_LATEST)] = ALL_LATEST
    cursor: Cursor = None


async def list_points(
    device_id: str, request: Request, here: Here, asked: Annotated[PointFilters, Query()]
) -> Response:
    """List readings of a device in order of time."""
    check_id(device_id)
    page = here.page(request)
    place = page.place
    if place:
        span = Span(place["start"], place["stop"])
    else:
        span = read_span(asked.start, asked.stop, here.deps.clock.now_ns())
    rows = await here.find_series([device_id], asked.metric, asked.channel)
    if not rows:
        return json_answer({"metrics": [], "next": None})
    table, attr_ids = await here.ask_series(
        "range", _raw, here, [row.series_id for row in rows], span,
        limit=asked.limit + 1, descending=asked.order == "desc",
        after=(place["time"], place["series"]) if place else None,
    )  # fmt: skip
    cursor = None
    if table.num_rows > asked.limit:
        last = table.slice(asked.limit - 1, 1)
        cursor = page.next({
            "start": span.start_ns, "stop": span.stop_ns,
            "time": last["time_ns"][0].as_py(), "series": last["series_id"][0].as_py(),
        })  # fmt: skip
        table = table.slice(0, asked.limit)
    return await _answer(here, "metrics", table, rows, (attr_ids, cursor))


def _raw(here: Room, ids: list[int], span: Span, **how: Any) -> tuple[pa.Table, list[int]]:
    table = here.series.raw(ids, span, **how)
    return table, render.distinct(table["attr_id"])


async def get_latest(
    request: Request, here: Here, asked: Annotated[LatestFilters, Query()]
) -> Response:
    """List the newest reading of each series."""
    rows = await here.find_series(asked.device_id, asked.metric)
    return await _latest(here, here.page(request), rows, asked.limit)


async def post_latest(
    request: Request, here: Here, asked: Annotated[LatestPage, Query()]
) -> Response:
    """List the newest reading of each series of many devices."""
    body = await read_body(request, LatestBody)
    rows = await here.find_series(body.device_ids, body.metrics)
    page = here.page(request, body=body.model_dump_json())
    return await _latest(here, page, rows, asked.limit)


async def _latest(here: Room, page: Page, rows: list[SeriesRow], limit: int) -> Response:
    after = page.place.get("series", 0)
    chosen = [row for row in rows if row.series_id > after][: limit + 1]
    cursor = None
    if len(chosen) > limit:
        chosen = chosen[:limit]
        cursor = page.next({"series": chosen[-1].series_id})
    table, attr_ids = await here.ask_series("latest", _newest, here, chosen)
    return await _answer(here, "latest", table, chosen, (attr_ids, cursor))


def _newest(here: Room, rows: Sequence[SeriesRow]) -> tuple[pa.Table, list[int]]:
    table = here.series.latest([row.series_id for row in rows])
    return table, render.distinct(table["attr_id"])


async def _answer(
    here: Room, name: str, table: pa.Table, rows: Sequence[SeriesRow],
    rest: tuple[list[int], str | None],
) -> Response:  # fmt: skip
    attr_ids, cursor = rest
    units = await here.directory.units(attr_ids)
    series = {row.series_id: row for row in rows}

    def body() -> bytes:
        return orjson.dumps({name: render.points(table, series, units), "next": cursor})

    if table.num_rows <= FEW_ROWS:
        return json_bytes(body())
    return json_bytes(await here.series_desk.ask("get", body))


async def get_climate(device_id: str, here: Here, _: NoQuery) -> Response:
    """Show the last temperature, humidity and health of a device."""
    check_id(device_id)
    rows = await here.find_series([device_id], [TEMPERATURE, HUMIDITY, HEALTH])
    if not rows and not await here.find_series([device_id], []):
        await here.device(device_id)
    table, _attr_ids = await here.ask_series("latest", _newest, here, rows)
    metrics = {row.series_id: row.key.metric for row in rows}
    ids, times, values = (table[name].to_pylist() for name in ("series_id", "time_ns", "value"))
    found: dict[str, tuple[int, float]] = {}
    for series_id, time_ns, value in zip(ids, times, values, strict=True):
        metric = metrics[series_id]
        found[metric] = max(found.get(metric, (time_ns, value)), (time_ns, value))
    newest = max((time_ns for time_ns, _value in found.values()), default=None)
    return json_answer(
        {
            "device_id": device_id,
            "temperature": found.get(TEMPERATURE, (0, None))[1],
            "humidity": found.get(HUMIDITY, (0, None))[1],
            "health_score": found.get(HEALTH, (0, None))[1],
            "timestamp": None if newest is None else format_instant(newest),
        }
    )


async def list_series(
    device_id: str, request: Request, here: Here, asked: Annotated[SeriesFilters, Query()]
) -> Response:
    """List the series of a device, with their extent and their newest attributes."""
    check_id(device_id)
    page = here.page(request)
    rows = await here.find_series([device_id], asked.metric)
    if not rows:
        await here.device(device_id)
    after = tuple(page.place.get("after", ()))
    rows = sorted(rows, key=lambda row: row.key)
    chosen = [row for row in rows if row.key[1:] > after][: asked.limit + 1]
    cursor = None
    if len(chosen) > asked.limit:
        chosen = chosen[: asked.limit]
        cursor = page.next({"after": chosen[-1].key[1:]})
    extents, newest = await here.ask_series("list", _summary, here, chosen)
    bodies = await here.registry_desk.ask(
        "get", here.registry.attributes, sorted(set(newest.values()))
    )
    series = [
        _series_body(row, extents.get(row.series_id), bodies.get(newest.get(row.series_id, -1), {}))
        for row in chosen
    ]
    return json_answer({"series": series, "next": cursor})


def _summary(here: Room, rows: Sequence[SeriesRow]) -> tuple[dict[int, Extent], dict[int, int]]:
    ids = [row.series_id for row in rows]
    table = here.series.summary(ids)
    names = ("series_id", "first_ns", "last_ns", "count")
    extents = {
        series_id: (first, last, count)
        for series_id, first, last, count in zip(
            *(table[name].to_pylist() for name in names), strict=True
        )
    }
    latest = here.series.latest(ids)
    pairs = zip(latest["series_id"].to_pylist(), latest["attr_id"].to_pylist(), strict=True)
    return extents, dict(pairs)


def _series_body(
    row: SeriesRow, extent: Extent | None, attributes: Mapping[str, Any]
) -> dict[str, Any]:
    first, last, count = extent or (None, None, 0)
    unit = attributes.get("unit")
    return {
        "metric": row.key.metric,
        "channel": row.key.channel,
        "unit": row.unit if unit is None else unit,
        "first": None if first is None else format_instant(first),
        "last": None if last is None else format_instant(last),
        "count": count,
        "attributes": {key: one for key, one in attributes.items() if key != "unit"},
    }


ROUTES = (
    Route("GET", "/api/devices/{device_id}/metrics", list_points, "API-030", "List readings"),
    Route("GET", "/api/latest", get_latest, "API-031", "List newest readings"),
    Route("POST", "/api/latest", post_latest, "API-031", "List newest readings of many devices",
          body=LatestBody),
    Route("GET", "/api/device/{device_id}/latest", get_climate, "API-034",
          "Show the last temperature, humidity and health"),
    Route("GET", "/api/devices/{device_id}/series", list_series, "API-037", "List series"),
)  # fmt: skip
