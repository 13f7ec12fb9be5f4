"""The export route.

Pieces are made in a thread of their own, and while others ask, at a quarter of the speed.
Source: API-033; B5.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response, StreamingResponse

from millrace.serve.export import MEDIA_TYPES, Export
from millrace.serve.instants import read_span
from millrace.serve.parameters import ExportFilters
from millrace.serve.room import Here, Room
from millrace.serve.routes.route import Route

REST = 3
MAX_REST_S = 0.5


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
    desk = here.export_desk
    while True:
        asked, begun_s = here.questions, time.perf_counter()
        batch = await desk.ask("range", export.next_batch)
        if batch is None:
            break
        units = await here.directory.units(export.attributes(batch))
        yield await desk.ask("range", export.encode, batch, units)
        if here.questions != asked:
            await asyncio.sleep(min(REST * (time.perf_counter() - begun_s), MAX_REST_S))
    yield await desk.ask("range", export.finish)


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


ROUTES = (Route("GET", "/api/export/points", export_points, "API-033", "Export readings"),)
