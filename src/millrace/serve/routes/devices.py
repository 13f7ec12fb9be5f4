"""Devices: who they are, and what is known about each.

Source: API-060, API-062, API-066, API-069, API-072.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from millrace.ports.live import SequenceSummary
from millrace.ports.registry import DeviceQuery, EventQuery
from millrace.serve.answers import json_answer, tagged
from millrace.serve.instants import read_instant, shorten
from millrace.serve.live_hub import event_body
from millrace.serve.parameters import DeviceFilters, EventFilters, NoQuery
from millrace.serve.problems import Problem
from millrace.serve.room import Here, check_id
from millrace.serve.routes.route import Route

# The documented members in their order, then what else a person may set. Claiming codes and
# credential references stay out.
MEMBERS = (
    "id", "device_id", "family", "role", "device_name", "device_type", "location", "status",
    "connection_status", "last_seen", "fw_version", "registered", "health_score",
    "installation_date", "last_maintenance", "metadata", "created_at", "updated_at",
    "group_path", "latitude", "longitude", "time_zone", "mac_address", "serial_number", "uuid",
    "ip_address", "pcb_version", "device_template_id",
)  # fmt: skip
MAX_MISSING = 1023
INSTANTS = ("last_seen", "installation_date", "last_maintenance", "created_at", "updated_at")


def device_body(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a device as the API shows it."""
    body = {name: row.get(name) for name in MEMBERS}
    body.update({name: shorten(body[name]) for name in INSTANTS})
    return body


async def list_devices(
    request: Request, here: Here, asked: Annotated[DeviceFilters, Query()]
) -> Response:
    """List devices, newest first."""
    page = here.page(request)
    after = (page.place["created_at"], page.place["id"]) if page.place else None
    rows = await here.registry_desk.ask(
        "list",
        here.registry.devices,
        DeviceQuery(
            status=asked.status, device_type=asked.type, family=asked.family,
            group_path=asked.group_path, connection_status=asked.connection_status,
            registered=asked.registered, text=asked.q or None, after=after,
            limit=asked.limit + 1,
        ),
    )  # fmt: skip
    cursor = None
    if len(rows) > asked.limit:
        last = rows[asked.limit - 1]
        cursor = page.next({"created_at": last["created_at"], "id": last["id"]})
    devices = [device_body(row) for row in rows[: asked.limit]]
    return json_answer({"devices": devices, "next": cursor})


async def get_device(device_id: str, request: Request, here: Here, _: NoQuery) -> Response:
    """Show one device."""
    return tagged(request, device_body(await here.device(device_id)))


async def get_status(device_id: str, request: Request, here: Here, _: NoQuery) -> Response:
    """Show whether a device is there."""
    row = await here.device(device_id)
    return tagged(
        request,
        {
            "connection_status": row["connection_status"],
            "device_id": row["device_id"],
            "fw_version": row.get("fw_version"),
            "last_seen": shorten(row.get("last_seen")),
        },
    )


async def get_sequence(device_id: str, request: Request, here: Here, _: NoQuery) -> Response:
    """Show the sequence numbers of a device and what is missing."""
    row = await here.device(device_id)
    found = await here.rows_desk.ask("get", here.deps.rows.sequence, device_id)
    state = found or SequenceSummary(-1, 0, 0, 0, 0, "")
    return tagged(
        request,
        {
            "device_id": row["device_id"],
            "epoch": state.epoch,
            "last_seq": None if state.last_seq < 0 else state.last_seq,
            "gap_count": state.gap_count,
            "missing": list(state.missing)[:MAX_MISSING],
            "duplicates": state.duplicates,
            "resets": state.resets,
            "updated_at": shorten(state.updated_at or None),
        },
    )


async def list_events(
    device_id: str, request: Request, here: Here, asked: Annotated[EventFilters, Query()]
) -> Response:
    """List the events of a device, newest first."""
    check_id(device_id)
    page = here.page(request)
    place = page.place or _span(asked, here.deps.clock.now_ns())
    events = await here.registry_desk.ask(
        "list",
        here.registry.events,
        EventQuery(
            device_id, asked.type, start_ns=place["start"], stop_ns=place["stop"],
            after_id=place.get("id"), limit=asked.limit + 1,
        ),
    )  # fmt: skip
    if not events and not page.place:
        await here.device(device_id)
    cursor = None
    if len(events) > asked.limit:
        cursor = page.next(
            {"start": place["start"], "stop": place["stop"], "id": events[asked.limit - 1].id}
        )
    return json_answer(
        {"events": [event_body(event) for event in events[: asked.limit]], "next": cursor}
    )


def _span(asked: EventFilters, now_ns: int) -> dict[str, int | None]:
    start = None if asked.start is None else read_instant("start", asked.start, now_ns)
    stop = None if asked.stop is None else read_instant("stop", asked.stop, now_ns)
    if start is not None and stop is not None and start >= stop:
        raise Problem("invalid_range", "start must be before stop")
    return {"start": start, "stop": stop}


ROUTES = (
    Route("GET", "/api/devices", list_devices, "API-060", "List devices"),
    Route("GET", "/api/devices/{device_id}", get_device, "API-062", "Show a device"),
    Route("GET", "/api/devices/{device_id}/status", get_status, "API-066", "Show its presence"),
    Route("GET", "/api/devices/{device_id}/sequence", get_sequence, "API-069",
          "Show its sequence numbers"),
    Route("GET", "/api/devices/{device_id}/events", list_events, "API-072", "List its events"),
)  # fmt: skip
