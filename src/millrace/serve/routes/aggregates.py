"""Aggregates: readings in windows, for one device, for many, and as the history of a sensor.

Source: API-032, API-035.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import Query, Request
from starlette.responses import Response

from millrace.errors import RejectError
from millrace.ports.registry import SeriesRow
from millrace.ports.series import Every, Span
from millrace.serve import render, windows
from millrace.serve.answers import json_answer, json_bytes
from millrace.serve.instants import format_instant, read_every, read_span
from millrace.serve.parameters import FleetWindowFilters, HistoryFilters, WindowFilters
from millrace.serve.room import Here, Room, check_id
from millrace.serve.routes.route import Route

MINUTE = Every(1, "m")
MINUTE_NS = 60 * 1_000_000_000
HOUR_NS = 60 * MINUTE_NS
# So many one-minute windows are asked for at a time.
HISTORY_SLICE = 200_000


async def get_aggregates(here: Here, asked: Annotated[FleetWindowFilters, Query()]) -> Response:
    """Aggregate readings of any devices."""
    return await _aggregates(here, asked, asked.device_id)


async def get_device_aggregates(
    device_id: str, here: Here, asked: Annotated[WindowFilters, Query()]
) -> Response:
    """Aggregate readings of one device."""
    check_id(device_id)
    return await _aggregates(here, asked, [device_id])


async def _aggregates(here: Room, asked: WindowFilters, device_ids: list[str]) -> Response:
    windows.zone(asked.tz)
    every = read_every(asked.every, asked.tz)
    span = read_span(asked.start, asked.stop, here.deps.clock.now_ns())
    rows = await here.find_series(device_ids, asked.metric)
    is_filled = asked.fill == "null"
    if is_filled and windows.count(span, every) * len(rows) > windows.MAX_POINTS:
        raise windows.too_many(span, len(rows))
    if not rows:
        return json_answer({"aggregates": [], "next": None})
    body = await here.ask_series("aggregate", _body, here, rows, span, every, asked)
    return json_bytes(body)


def _body(
    here: Room, rows: list[SeriesRow], span: Span, every: Every, asked: WindowFilters
) -> bytes:
    functions = list(dict.fromkeys(asked.fn))
    ids = [row.series_id for row in rows]
    try:
        table = here.series.aggregate(ids, span, every, functions, limit=windows.MAX_POINTS)
    except RejectError as error:
        if error.reason != "too_many_points":
            raise
        raise windows.too_many(span, len(rows)) from None
    found = render.windows(table, functions)
    starts = list(windows.starts(span, every)) if asked.fill == "null" else []
    series = []
    for row in sorted(rows, key=lambda row: row.key):
        points = found.get(row.series_id, [])
        if starts:
            points = render.filled(points, starts, functions)
        if points:
            series.append(_series(row, asked.every, render.window_points(points)))
    return orjson.dumps({"aggregates": series, "next": None})


def _series(row: SeriesRow, every: str, points: list[dict[str, Any]]) -> dict[str, Any]:
    return {**row.key._asdict(), "unit": row.unit, "every": every, "points": points}


async def get_history(
    device_id: str, request: Request, here: Here, asked: Annotated[HistoryFilters, Query()]
) -> Response:
    """List one-minute means of all fields of a device."""
    check_id(device_id)
    page = here.page(request)
    now_ns = here.deps.clock.now_ns()
    place = page.place or {
        "stop": now_ns, "time": now_ns - asked.hours * HOUR_NS, "field": ""
    }  # fmt: skip
    rows = await here.find_series([device_id], [])
    if not rows:
        await here.device(device_id)
    found = await here.ask_series("aggregate", _minutes, here, rows, place, asked.limit + 1)
    cursor = None
    if len(found) > asked.limit:
        found = found[: asked.limit]
        cursor = page.next({"stop": place["stop"], "time": found[-1][0], "field": found[-1][1]})
    data = [
        {"timestamp": format_instant(time_ns), "field": field, "value": value}
        for time_ns, field, value in found
    ]
    return json_answer({"data": data, "next": cursor})


def _minutes(
    here: Room, rows: Sequence[SeriesRow], place: dict[str, Any], limit: int
) -> list[tuple[int, str, float]]:
    """Return (minute, field, mean) behind a place, slice by slice until there are enough."""
    fields = {row.series_id: render.field_name(row) for row in rows}
    found: list[tuple[int, str, float]] = []
    start_ns = place["time"]
    step_ns = max(1, HISTORY_SLICE // max(1, len(rows))) * MINUTE_NS
    while fields and start_ns < place["stop"] and len(found) < limit:
        stop_ns = min((start_ns // MINUTE_NS * MINUTE_NS) + step_ns, place["stop"])
        table = here.series.aggregate(
            list(fields), Span(start_ns, stop_ns), MINUTE, ["mean"], limit=2 * HISTORY_SLICE
        )
        columns = (table[name].to_pylist() for name in ("time_ns", "series_id", "mean"))
        page = [
            (time_ns, fields[series_id], mean)
            for time_ns, series_id, mean in zip(*columns, strict=True)
        ]
        found += [one for one in sorted(page) if one[:2] > (place["time"], place["field"])]
        start_ns = stop_ns
    return found


ROUTES = (
    Route("GET", "/api/aggregates", get_aggregates, "API-032", "Aggregate readings"),
    Route("GET", "/api/devices/{device_id}/aggregates", get_device_aggregates, "API-032",
          "Aggregate readings of a device"),
    Route("GET", "/api/device/{device_id}/history", get_history, "API-035",
          "List one-minute means"),
)  # fmt: skip
