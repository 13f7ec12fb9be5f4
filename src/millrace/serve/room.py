"""The room in which requests are answered: the ports behind their desks, and what is shared.

One per application, made by `create_app`, reached by handlers as a parameter of type `Here`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ParamSpec, TypeVar

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from millrace.errors import NotFoundError
from millrace.ports.registry import Registry, SeriesRow
from millrace.ports.series import SeriesQuery
from millrace.serve.cursors import Cursors, binding
from millrace.serve.deps import ServeDeps
from millrace.serve.desk import Desk
from millrace.serve.directory import SeriesDirectory
from millrace.serve.health import Health
from millrace.serve.latest_keys import LatestKeys
from millrace.serve.live_hub import LiveHub
from millrace.serve.problems import Problem
from millrace.serve.tickets import Tickets

P = ParamSpec("P")
T = TypeVar("T")

OPEN_PRINCIPAL = "open"
_MAX_ID_CHARS = 256


@dataclass(slots=True)
class Room:
    """What handlers work with."""

    deps: ServeDeps
    series_desk: Desk
    registry_desk: Desk
    rows_desk: Desk
    export_desk: Desk
    directory: SeriesDirectory
    hub: LiveHub
    keys: LatestKeys | None
    health: Health
    tickets: Tickets
    cursors: Cursors
    questions: int = 0

    @property
    def series(self) -> SeriesQuery:
        """The query engine; to be asked at `series_desk`, but for what an export fetches."""
        return self.deps.series

    @property
    def registry(self) -> Registry:
        """The registry; to be asked at `registry_desk` only."""
        return self.deps.registry

    async def ask_series(
        self, op: str, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what the query engine says, after it has taken in what was committed."""
        self.questions += 1

        def refreshed() -> T:
            self.series.refresh()
            return question(*args, **kwargs)

        return await self.series_desk.ask(op, refreshed)

    async def device(self, device_id: str) -> dict[str, Any]:
        """Return the registry row of a device. Raises: Problem `device_not_found`."""
        check_id(device_id)
        try:
            return await self.registry_desk.ask("get", self.registry.device, device_id)
        except NotFoundError:
            raise Problem("device_not_found", "Device not found") from None

    async def find_series(
        self, device_ids: list[str] | None, metrics: list[str], channels: list[str] | None = None
    ) -> list[SeriesRow]:
        """Return the series that filters mean, by id; an empty filter is none."""
        return await self.registry_desk.ask(
            "list", self.registry.series, device_ids or None, metrics or None, channels or None
        )

    def page(self, request: Request, **fixed: str) -> "Page":
        """Return the page that a list request asks for. Raises: Problem `invalid_cursor`."""
        pairs = request.query_params.multi_items()
        filters = [pair for pair in pairs if pair[0] not in ("cursor", "limit")]
        bound = binding(request.url.path, OPEN_PRINCIPAL, [*filters, *fixed.items()])
        cursor = request.query_params.get("cursor")
        place = self.cursors.open(bound, cursor) if cursor is not None else {}
        return Page(self.cursors, bound, place)


@dataclass(frozen=True, slots=True)
class Page:
    """Where a list goes on; `place` is empty on the first page."""

    cursors: Cursors
    bound: bytes
    place: dict[str, Any]

    def next(self, place: dict[str, Any]) -> str:
        """Return the cursor of the page that begins behind `place`."""
        return self.cursors.seal(self.bound, place)


def check_id(device_id: str) -> None:
    """Refuse ids that no device can have, before a store sees them (A22). Raises: Problem."""
    if len(device_id) > _MAX_ID_CHARS or not device_id.isprintable():
        raise Problem("device_not_found", "Device not found")


def room_of(connection: HTTPConnection) -> Room:
    """Return the room of the application that a request came to."""
    room: Room = connection.app.state.room
    return room


async def _here(connection: HTTPConnection) -> Room:
    # A plain function would be called in a thread, for each request.
    return room_of(connection)


Here = Annotated[Room, Depends(_here)]
