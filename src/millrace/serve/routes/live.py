"""The live stream: a ticket, and the WebSocket that takes it. Source: API-130."""

from starlette.responses import Response
from starlette.websockets import WebSocket

from millrace.serve.answers import json_answer
from millrace.serve.live_socket import LiveSocket, accept
from millrace.serve.parameters import NoQuery
from millrace.serve.room import OPEN_PRINCIPAL, Here, room_of
from millrace.serve.routes.route import Route
from millrace.serve.tickets import VALID_S

SOCKET_PATH = "/api/live"


async def post_ticket(here: Here, _: NoQuery) -> Response:
    """Give out a ticket for one connection."""
    ticket = here.tickets.issue(OPEN_PRINCIPAL)
    return json_answer({"ticket": ticket, "expires_in": VALID_S}, 201)


async def live(socket: WebSocket) -> None:
    """Serve one live connection."""
    room = room_of(socket)
    if await accept(socket, room):
        await LiveSocket(socket, room).run()


ROUTES = (Route("POST", "/api/live/ticket", post_ticket, "API-130", "Get a ticket for /api/live"),)
