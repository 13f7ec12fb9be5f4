"""The export route. Source: API-033."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response, StreamingResponse

from millrace.serve.export import MEDIA_TYPES, Export
from millrace.serve.instants import read_span
from millrace.serve.parameters import ExportFilters
from millrace.serve.room import Here, Room
from millrace.serve.routes.route import Route


async def export_points(
    request: Request, here: Here, asked: Annotated[ExportFilters, Query()]
) -> Response:
    """Stream readings as a file."""
    span = read_span(asked.start, asked.stop, here.deps.clock.now_ns())
    rows = await here.find_series(asked.device_id, asked.metric)
    rows = sorted(rows, key=lambda row: row.key)
    headers = {"Content-Disposition": f'attachment; filename="points.{asked.format}"'}
    media_type = MEDIA_TYPES[asked.format]
    if request.scope["is_head"]:
        return Response(headers=headers, media_type=media_type)
    batches = await here.ask_series(
        "range", here.series.export, [row.series_id for row in rows], span
    )
    export = Export(batches, {row.series_id: row for row in rows}, asked.format)
    pieces = _pieces(here, export)
    # The first piece is made before the answer begins, so that a store that is away is a problem.
    first = await anext(pieces)
    return StreamingResponse(_joined(first, pieces), headers=headers, media_type=media_type)


async def _pieces(here: Room, export: Export) -> AsyncIterator[bytes]:
    while (batch := await here.series_desk.ask("range", export.next_batch)) is not None:
        attr_ids = await here.series_desk.ask("range", export.attributes, batch)
        units = await here.directory.units(attr_ids)
        yield await here.series_desk.ask("range", export.encode, batch, units)
    yield await here.series_desk.ask("range", export.finish)


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


ROUTES = (Route("GET", "/api/export/points", export_points, "API-033", "Export readings"),)
