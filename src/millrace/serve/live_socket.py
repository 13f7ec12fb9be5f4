"""One WebSocket: reads the frames of the client, sends what is in its outbox, asks for pongs.

Source: API-130 to API-132, API-134, API-135; attacks A44 to A48.
"""

import asyncio
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from millrace.errors import MillraceError
from millrace.observe.metrics import FRAME_TYPES
from millrace.serve.listening import MAX_FRAME_BYTES
from millrace.serve.live_hub import EVENTS, POINTS, Subscription
from millrace.serve.live_outbox import Frame, Outbox
from millrace.serve.live_points import Filter
from millrace.serve.live_replay import Replay
from millrace.serve.problems import Problem, problem_of
from millrace.serve.room import Room

PROTOCOL = "millrace.v1"
MAX_SUBSCRIPTIONS = 100
FRAMES_PER_S = 100
NO_PONG_FACTOR = 2
SEND_DEADLINE_S = 5.0

SESSION_ENDED = 4401
NO_PONG = 4408
TOO_MANY = 4429
TOO_LARGE = 1009

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Subscribe(BaseModel):
    """API-131."""

    model_config = ConfigDict(extra="forbid")

    op: Literal["subscribe"]
    id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    kind: Literal["points", "alerts", "events"]
    devices: Annotated[list[Name], Field(max_length=1000)] = []
    metrics: Annotated[list[Name], Field(max_length=200)] = []
    since: Annotated[str | None, StringConstraints(pattern=r"^[0-9]{1,18}$")] = None


class _ClosedError(Exception):
    """Ends the connection with a close code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class LiveSocket:
    """An accepted connection."""

    def __init__(self, socket: WebSocket, room: Room) -> None:
        self._socket = socket
        self._room = room
        self._clock = room.deps.clock
        self._metrics = room.deps.metrics.serve
        self._outbox = Outbox()
        self._replay = Replay(room.hub, room.deps.rows, room.rows_desk)
        self._subscriptions: dict[str, Subscription] = {}
        self._joining: dict[str, asyncio.Task[None]] = {}
        self._unanswered_since_s: float | None = None
        self._credit = float(FRAMES_PER_S)
        self._credited_s = self._clock.steady_s()

    async def run(self) -> None:
        """Serve the connection until either side ends it."""
        self._metrics.ws_connections.inc()
        code = 1000
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write())
                tasks.create_task(self._ping())
                tasks.create_task(self._read(tasks))
        except* _ClosedError as ended:
            code = next(one.code for one in _leaves(ended) if isinstance(one, _ClosedError))
        except* WebSocketDisconnect:
            code = 0
        finally:
            self._metrics.ws_connections.dec()
            self._metrics.ws_dropped.inc(self._outbox.dropped)
            for subscription in self._subscriptions.values():
                self._room.hub.leave(subscription)
        if code:
            await self._close(code)

    async def _close(self, code: int) -> None:
        # A client that reads nothing would hold the closing frame up for ever.
        if self._socket.application_state is WebSocketState.CONNECTED:
            try:
                async with asyncio.timeout(SEND_DEADLINE_S):
                    await self._socket.close(code)
            except (TimeoutError, WebSocketDisconnect):
                return

    async def _write(self) -> None:
        while True:
            frame = await self._outbox.take()
            await self._socket.send_text(frame.text)
            if frame.type in FRAME_TYPES:
                self._metrics.ws_frames.labels(frame.type).inc()

    async def _ping(self) -> None:
        every_s = self._room.deps.ping_every_s
        while True:
            await asyncio.sleep(every_s)
            now_s = self._clock.steady_s()
            since_s = self._unanswered_since_s
            if since_s is not None and now_s - since_s >= NO_PONG_FACTOR * every_s:
                raise _ClosedError(NO_PONG)
            if since_s is None:
                self._unanswered_since_s = now_s
            self._outbox.put(Frame("ping", "", "", '{"type":"ping"}'))

    async def _read(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            self._charge()
            text = message.get("text") or message.get("bytes") or b""
            if len(text) > MAX_FRAME_BYTES:
                raise _ClosedError(TOO_LARGE)
            self._obey(text, tasks)

    def _charge(self) -> None:
        now_s = self._clock.steady_s()
        earned = (now_s - self._credited_s) * FRAMES_PER_S
        self._credit = min(FRAMES_PER_S, self._credit + earned) - 1
        self._credited_s = now_s
        if self._credit < 0:
            raise _ClosedError(TOO_MANY)

    def _obey(self, text: str | bytes, tasks: asyncio.TaskGroup) -> None:
        try:
            frame = orjson.loads(text)
        except orjson.JSONDecodeError:
            frame = None
        if not isinstance(frame, dict):
            self._error("", "malformed_json", "A frame must be a JSON object")
            return
        name = str(frame.get("id", ""))[:64]
        match frame.get("op"):
            case "pong":
                self._unanswered_since_s = None
            case "unsubscribe":
                self._unsubscribe(name)
            case "subscribe":
                self._subscribe(name, frame, tasks)
            case _:
                self._error(name, "invalid_field", "op: must be subscribe, unsubscribe or pong")

    def _subscribe(self, name: str, frame: dict[str, object], tasks: asyncio.TaskGroup) -> None:
        try:
            asked = Subscribe.model_validate(frame)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"]))
            self._error(name, "invalid_field", f"{field}: {first['msg']}")
            return
        if asked.kind not in (POINTS, EVENTS):
            self._error(name, "invalid_field", "kind: no alerts are raised by this release")
        elif asked.id in self._subscriptions:
            self._error(name, "conflict", "A subscription with this id exists")
        elif len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            self._error(name, "invalid_field", f"At most {MAX_SUBSCRIPTIONS} subscriptions")
        else:
            wants = Filter(frozenset(asked.devices), frozenset(asked.metrics))
            subscription = Subscription(asked.id, asked.kind, wants, self._outbox)
            since = None if asked.since is None else int(asked.since)
            self._subscriptions[asked.id] = subscription
            self._joining[asked.id] = tasks.create_task(self._join(subscription, since))

    async def _join(self, subscription: Subscription, since: int | None) -> None:
        try:
            await self._replay.join(subscription, since)
        except (Problem, MillraceError) as error:
            problem = error if isinstance(error, Problem) else problem_of(error)
            self._unsubscribe(subscription.id)
            self._error(subscription.id, problem.code, problem.detail)
        finally:
            self._joining.pop(subscription.id, None)

    def _unsubscribe(self, name: str) -> None:
        joining = self._joining.pop(name, None)
        if joining is not None and joining is not asyncio.current_task():
            joining.cancel()
        subscription = self._subscriptions.pop(name, None)
        if subscription is not None:
            self._room.hub.leave(subscription)

    def _error(self, name: str, code: str, detail: str) -> None:
        body = {"type": "error", "id": name, "code": code, "detail": detail}
        self._outbox.put(Frame("error", "", "", orjson.dumps(body).decode()))


async def accept(socket: WebSocket, room: Room) -> bool:
    """Accept a connection from an allowed origin that has a ticket; return whether it may go on.

    A page of another origin is refused before the upgrade (A44); a bad ticket closes with 4401.
    """
    origin = socket.headers.get("origin")
    if origin is not None and not _is_allowed(origin, socket, room):
        await socket.close(1008)
        return False
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(PROTOCOL if PROTOCOL in offered else None)
    if room.tickets.redeem(socket.query_params.get("ticket", "")) is None:
        await socket.close(SESSION_ENDED)
        return False
    return True


def _is_allowed(origin: str, socket: WebSocket, room: Room) -> bool:
    allowed = room.deps.cors_origins
    own = socket.headers.get("host", "")
    return origin in (f"http://{own}", f"https://{own}") or origin in allowed or "*" in allowed


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for one in group.exceptions:
        leaves += _leaves(one) if isinstance(one, BaseExceptionGroup) else [one]
    return leaves
