"""The sockets of the endpoint, and the broker port on top of them.

Source: MTR-009, MTR-010, D-57; attacks A12, A17.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from millrace.adapters.broker_endpoint.access import Access, OpenAccess
from millrace.adapters.broker_endpoint.connection import Connection
from millrace.adapters.broker_endpoint.fetching import LogFetcher
from millrace.adapters.broker_endpoint.hub import Hub
from millrace.adapters.broker_endpoint.limits import EndpointCounters, EndpointLimits
from millrace.adapters.broker_endpoint.restore import Notes, Restoration
from millrace.adapters.broker_endpoint.services import Services
from millrace.adapters.broker_endpoint.session import Message
from millrace.adapters.broker_endpoint.websocket import WebSocketBridge
from millrace.errors import RejectError, RetryError, StopError
from millrace.mqtt.topics import check_topic, matches
from millrace.ports.broker import Intake
from millrace.ports.clock import Clock
from millrace.ports.log import LogReader

BACKLOG = 4_096
GOODBYE_S = 2.0
TURNS_TO_CLOSE = 3
# What the server says on these is its own and no message of a device (D-16)
UNLOGGED = ("iot/+/command",)


@dataclass(frozen=True, slots=True)
class EndpointTls:
    """Files of the TLS listener. With `client_ca` clients must show a certificate of that CA."""

    certificate: str
    key: str
    client_ca: str | None = None
    allow_tls12: bool = False

    def context(self) -> ssl.SSLContext:
        """Return the context of the listener.

        Raises:
            StopError: A file is missing or is not what it should be.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        oldest = ssl.TLSVersion.TLSv1_2 if self.allow_tls12 else ssl.TLSVersion.TLSv1_3
        context.minimum_version = oldest
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except OSError as error:
            raise StopError(
                f"the certificate {self.certificate} cannot be used: {error}",
                "check the files named by broker.tls",
            ) from error
        return context


@dataclass(frozen=True, slots=True)
class EndpointAddresses:
    """Where the endpoint listens; a port None is not opened, 0 is any free one.

    `origins` are the web pages that may open a WebSocket; None admits all.
    """

    host: str = "127.0.0.1"
    port: int | None = 1883
    websocket_port: int | None = None
    tls_port: int | None = None
    tls: EndpointTls | None = None
    origins: tuple[str, ...] | None = None


class EndpointBroker:
    """The broker port as a listener for devices. `notes` and `reader` are those of the log."""

    def __init__(
        self,
        addresses: EndpointAddresses,
        notes: Notes,
        *,
        clock: Clock,
        reader: LogReader | None = None,
        access: Access | None = None,
        limits: EndpointLimits | None = None,
    ) -> None:
        self.counters = EndpointCounters()
        self._addresses = addresses
        self._notes = notes
        self._limits = limits or EndpointLimits()
        self._hub = Hub(self._limits, clock, access or OpenAccess(), self.counters, reader)
        self._services = Services(self._hub)
        self._fetcher = LogFetcher(self._hub, reader) if reader is not None else None
        self._servers: list[asyncio.Server] = []
        self._sweep: asyncio.TimerHandle | None = None
        self.ports: dict[str, int] = {}

    async def start(self) -> None:
        Restoration(self._hub).run(self._notes)
        if self._fetcher is not None:
            self._hub.outbound.fetch = self._fetcher.fetch
        services, places = self._services, self._addresses
        tls = places.tls.context() if places.tls is not None else None
        await self._listen("mqtt", places.port, lambda: Connection(services))
        await self._listen(
            "websocket", places.websocket_port, lambda: WebSocketBridge(services, places.origins)
        )
        if tls is not None:
            await self._listen("mqtts", places.tls_port, lambda: Connection(services), tls)
        self._sweep_later()

    async def _listen(
        self,
        name: str,
        port: int | None,
        factory: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if port is None:
            return
        host, patience_s = self._addresses.host, self._limits.connect_timeout_s
        try:
            server = await asyncio.get_running_loop().create_server(
                factory, host, port, ssl=tls, backlog=BACKLOG,
                ssl_handshake_timeout=patience_s if tls else None,
            )  # fmt: skip
        except OSError as error:
            raise StopError(
                f"cannot listen on {host}:{port}: {error.strerror}",
                "stop whoever uses the port, or choose another one with --mqtt",
            ) from error
        self._servers.append(server)
        self.ports[name] = server.sockets[0].getsockname()[1]

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(self._limits.sweep_s, self._sweep_and_again)

    def _sweep_and_again(self) -> None:
        self._sweep_later()
        self.sweep()

    def sweep(self) -> None:
        """Act on deadlines that have passed; the endpoint does so by itself twice a second."""
        self._services.sweep()

    async def receive(self) -> Intake:
        await self._hub.inbox.wait()
        if self._limits.linger_s:
            await asyncio.sleep(self._limits.linger_s)
        return self._hub.inbox.take()

    def settle(self, intake: Intake, offsets: Sequence[tuple[int, int]]) -> None:
        if not self._hub.is_closed:
            self._services.settle(intake.ticket, offsets)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        expiry_s: int | None = None,
    ) -> None:
        check_topic(topic)
        if qos not in {0, 1, 2}:
            raise RejectError("bad_qos", f"QoS {qos}")
        hub = self._hub
        if hub.is_closed or not self._servers:
            raise RetryError("the endpoint is not listening")
        expires_ns = 0 if expiry_s is None else hub.clock.now_ns() + expiry_s * 1_000_000_000
        message = Message(topic, payload, qos, retain, None, expires_ns)
        if any(matches(pattern, topic) for pattern in UNLOGGED):
            self._say(message)
        else:
            self._services.publishing.ingest(message)
        hub.flush()
        if hub.inbox.has_work():
            await self._durable()

    def _say(self, message: Message) -> None:
        """Deliver a message that does not go into the log."""
        if message.retain:
            self._services.publishing.note_retained(message)
            self._services.publishing.retain(message)
        self._hub.outbound.route(message, None)
        if self._hub.outbound.is_urgent:
            self._hub.checkpoint()

    async def _durable(self) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hub.inbox.after(lambda: None if done.done() else done.set_result(None))
        await done

    async def close(self) -> None:
        if self._hub.is_closed:
            return
        if self._sweep is not None:
            self._sweep.cancel()
        for server in self._servers:
            server.close()
        self._services.shut_down()
        if self._services.connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._services.all_gone.wait(), GOODBYE_S)
        for connection in list(self._services.connections):
            connection.abort()
        # Sockets close in the turns after they were told to; a loop that ends first leaks them.
        for _ in range(TURNS_TO_CLOSE):
            await asyncio.sleep(0)
        if self._fetcher is not None:
            self._fetcher.close()
