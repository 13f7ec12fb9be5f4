"""Freshness: how old the newest reading of a device is."""

from fastapi import Request
from starlette.responses import Response

from millrace.serve.answers import tagged
from millrace.serve.instants import format_instant
from millrace.serve.parameters import NoQuery
from millrace.serve.room import Here
from millrace.serve.routes.route import Route

SECOND_NS = 1_000_000_000


async def get_freshness(device_id: str, request: Request, here: Here, _: NoQuery) -> Response:
    """Show when a device last had a reading, and how many seconds ago that was."""
    await here.device(device_id)
    rows = await here.find_series([device_id], [])
    table = await here.ask_series("latest", here.series.latest, [row.series_id for row in rows])
    newest_ns = max(table["time_ns"].to_pylist(), default=None)
    age_ns = None if newest_ns is None else here.deps.clock.now_ns() - newest_ns
    return tagged(
        request,
        {
            "device_id": device_id,
            "newest": None if newest_ns is None else format_instant(newest_ns),
            "age_s": None if age_ns is None else age_ns / SECOND_NS,
        },
    )


ROUTES = (
    Route("GET", "/api/devices/{device_id}/freshness", get_freshness, "API-900",
          "Show how old its newest reading is"),
)  # fmt: skip
