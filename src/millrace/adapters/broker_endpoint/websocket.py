"""MQTT over WebSocket: the handshake and the frames around a `Connection`.

Rules: subprotocol `mqtt`, binary frames only; a frame may hold any part of the stream. The
connection sees a transport and does not know. No compression: a bomb would need it.
Source: MQTT 5.0, 6; attacks A44, A47, A48.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from millrace.adapters.broker_endpoint.connection import Connection
from millrace.adapters.broker_endpoint.services import Services

UNSUPPORTED_DATA = 1003
NORMAL = 1000


class WebSocketBridge(asyncio.Protocol):
    """One WebSocket with the MQTT connection in it. `origins` None: browsers of any origin."""

    __slots__ = ("_connection", "_framing", "_services", "_transport")

    def __init__(self, services: Services, origins: Sequence[str] | None) -> None:
        allowed = None if origins is None else [None, *(Origin(origin) for origin in origins)]
        self._services = services
        self._framing = ServerProtocol(
            origins=allowed,
            subprotocols=[Subprotocol("mqtt")],
            max_size=services.hub.limits.max_packet_bytes,
        )
        self._transport: asyncio.Transport | None = None
        self._connection = Connection(services)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio.Transport, only their likeness
        self._transport = cast("asyncio.Transport", transport)
        self._connection.connection_made(_Framed(self._transport, self._framing))

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def eof_received(self) -> None:
        self._framing.receive_eof()

    def data_received(self, data: bytes) -> None:
        framing = self._framing
        framing.receive_data(data)
        for event in framing.events_received():
            if isinstance(event, Request):
                framing.send_response(framing.accept(event))
            elif isinstance(event, Frame) and event.opcode in {Opcode.BINARY, Opcode.CONT}:
                self._connection.data_received(bytes(event.data))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                framing.fail(UNSUPPORTED_DATA)
        self._write()

    def _write(self) -> None:
        transport = self._transport
        if transport is None:
            return
        for part in self._framing.data_to_send():
            if part:
                transport.write(part)
        if self._framing.state is State.CLOSED or self._framing.close_expected():
            transport.close()


class _Framed(asyncio.Transport):
    """A transport that puts every write into one binary frame."""

    def __init__(self, transport: asyncio.Transport, framing: ServerProtocol) -> None:
        super().__init__()
        self._transport = transport
        self._framing = framing

    def _push(self) -> None:
        for part in self._framing.data_to_send():
            if part:
                self._transport.write(part)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._framing.state is State.OPEN:
            self._framing.send_binary(bytes(data))
            self._push()

    def close(self) -> None:
        if self._framing.state is State.OPEN:
            self._framing.send_close(NORMAL)
            self._push()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)
