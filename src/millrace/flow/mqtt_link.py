"""One connection of an MQTT session: a socket, a session, and the keep-alive between them.

Rules: bytes are parsed where they arrive, in the protocol's own callback, and handed on one list
a read; nothing here waits. While reading is held (back-pressure) silence of the broker is our own
doing, so the keep-alive does not count it (D-17).
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from millrace.errors import RetryError, StopError
from millrace.mqtt.packets import PINGREQ, ConnAck, Packet, ProtocolError
from millrace.mqtt.reasons import (
    CONNECTION_RATE_EXCEEDED,
    QUOTA_EXCEEDED,
    SERVER_BUSY,
    SERVER_SHUTTING_DOWN,
    SERVER_UNAVAILABLE,
    reason_name,
)
from millrace.mqtt.session import ClientSession

DEAF: Final = -1

# Refusals that pass by themselves; after any other a person must act.
_PASSING: Final = frozenset(
    (
        CONNECTION_RATE_EXCEEDED,
        QUOTA_EXCEEDED,
        SERVER_BUSY,
        SERVER_SHUTTING_DOWN,
        SERVER_UNAVAILABLE,
    )
)


class Address(NamedTuple):
    """Where a broker listens; `tls` None is plain TCP."""

    host: str
    port: int = 1883
    tls: ssl.SSLContext | None = None


class MqttLink(asyncio.Protocol):
    """Carries one connection; the owner gets packets, and in the end one call of `on_lost`.

    A link that its owner has closed, or whose session has been connected anew, is deaf: its bytes
    and its end concern nobody. `drained` is there while the socket takes no more; it is set when
    the socket does again. With `gather_s` a busy socket is left alone for so long after a read: a
    broker writes message by message, and fifty small reads cost ten times what one large one does.
    """

    __slots__ = (
        "_cause",
        "_epoch",
        "_heard",
        "_is_held",
        "_on_lost",
        "_on_packets",
        "_read_at_s",
        "_session",
        "_timer",
        "_transport",
        "drained",
        "gather_s",
    )

    def __init__(
        self,
        session: ClientSession,
        on_packets: Callable[[list[Packet]], None],
        on_lost: Callable[[Exception | None], None],
    ) -> None:
        self._session = session
        self._on_packets = on_packets
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._cause: Exception | None = None
        self._heard = True
        self._is_held = False
        self.drained: asyncio.Event | None = None
        self.gather_s = 0.0
        self._read_at_s = 0.0
        self._epoch = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._session.connect()
        self._epoch = self._session.epoch
        self.flush()
        self._wait()

    def data_received(self, data: bytes) -> None:
        if self._epoch != self._session.epoch:
            return
        self._heard = True
        try:
            packets = self._session.receive(data)
        except ProtocolError as error:
            self._cause = error
            packets = error.packets
        if packets:
            self._on_packets(packets)
            if isinstance(packets[0], ConnAck):
                self._wait()
        self.flush()
        if self._cause is not None and self._transport is not None:
            self._transport.close()
        elif self.gather_s:
            self._gather()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        self.resume_writing()
        if self._epoch == self._session.epoch:
            self._on_lost(self._cause or exc)

    def pause_writing(self) -> None:
        self.drained = asyncio.Event()

    def resume_writing(self) -> None:
        if self.drained is not None:
            self.drained.set()
            self.drained = None

    def flush(self) -> None:
        """Write what the session has to say."""
        data = self._session.take()
        if data and self._transport is not None:
            self._transport.write(data)

    def hold(self, *, is_held: bool) -> None:
        """Stop reading, or go on."""
        if is_held == self._is_held or self._transport is None:
            return
        self._is_held = is_held
        if is_held:
            self._transport.pause_reading()
        else:
            self._go_on()

    def close(self) -> None:
        """End the connection after what was written; nothing more is heard of it."""
        self._epoch = DEAF
        if self._transport is not None:
            self._transport.close()

    def _gather(self) -> None:
        """Leave the socket alone for a moment, if reads follow each other closely."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        is_busy = now_s - self._read_at_s < 2 * self.gather_s
        self._read_at_s = now_s
        if is_busy and self._transport is not None:
            self._transport.pause_reading()
            loop.call_later(self.gather_s, self._go_on)

    def _go_on(self) -> None:
        """Read again, unless there is a reason not to."""
        transport = self._transport
        if transport is not None and not self._is_held and not transport.is_closing():
            self._heard = True
            transport.resume_reading()

    def _wait(self) -> None:
        """Set the timer of the keep-alive; three of its periods are less than what is allowed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._session.keep_alive_s:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._session.keep_alive_s * 0.7, self._tick)

    def _tick(self) -> None:
        if not (self._heard or self._is_held):
            self._cause = RetryError("the broker is silent for longer than the keep-alive")
            if self._transport is not None:
                self._transport.abort()
            return
        self._heard = False
        if self._transport is not None:
            self._transport.write(PINGREQ)
        self._wait()


async def open_link(
    address: Address,
    session: ClientSession,
    on_packets: Callable[[list[Packet]], None],
    on_lost: Callable[[Exception | None], None],
) -> MqttLink:
    """Connect and send CONNECT; the answer comes to `on_packets`.

    Cancel-safe: yes.
    Raises:
        RetryError: Nobody answers there, or TLS fails.
    """
    loop = asyncio.get_running_loop()
    try:
        _, link = await loop.create_connection(
            lambda: MqttLink(session, on_packets, on_lost),
            address.host,
            address.port,
            ssl=address.tls,
        )
    except OSError as error:
        raise RetryError(f"{address.host}:{address.port}: {error}") from error
    return link


def refusal(reason_code: int) -> RetryError | StopError:
    """Return the error for a CONNACK that refuses: whether trying again may help."""
    name = reason_name(reason_code)
    if reason_code in _PASSING:
        return RetryError(f"the broker refuses for the moment: {name}")
    return StopError(f"the broker refuses the connection: {name}", "check name and password")
