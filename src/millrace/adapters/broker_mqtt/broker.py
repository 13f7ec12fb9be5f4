"""The connection to a broker that is not ours, kept up for as long as somebody receives.

Rules: a message is acknowledged when `settle` says that it is durable, in the order of receipt,
and only on the connection that brought it: ids are used again, and an old acknowledgement would
throw away another message. There is no task in the background: whoever waits in `receive` also
brings the connection back. Above the budget reading stops; pings do not.

Source: MTR-002, MTR-008, D-17, D-42; reliability.md F15, F16, F17.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import structlog

from millrace.adapters.broker_mqtt.backlog import Backlog
from millrace.adapters.broker_mqtt.upstream import Upstream, session_note
from millrace.errors import MillraceError, RetryError, StopError
from millrace.flow.backoff import Backoff
from millrace.flow.mqtt_link import Address, MqttLink, open_link, refusal
from millrace.mqtt.options import ClientOptions
from millrace.mqtt.packets import (
    ConnAck,
    Disconnect,
    Packet,
    ProtocolError,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    SubAck,
)
from millrace.mqtt.properties import MESSAGE_EXPIRY
from millrace.mqtt.reasons import UNSPECIFIED_ERROR, reason_name
from millrace.mqtt.session import ClientSession
from millrace.ports.broker import Intake
from millrace.ports.clock import Clock
from millrace.ports.log import Note

# A link that was up for so long is lost by accident; one that breaks sooner may do so for ever.
STABLE_S: Final = 30.0
# A quarter of what a commit of the log takes: more messages a read, hardly later.
GATHER_S: Final = 0.001


def _nothing(*_: object) -> None:
    """Do nothing: what is called when nobody counts."""


class MqttBroker:
    """See `ports.broker.Broker`.

    `on_link` is told when the link comes up and goes down, `on_gap` when the broker has lost our
    session and messages may be missing.
    """

    def __init__(
        self,
        upstream: Upstream,
        clock: Clock,
        *,
        rng: Random | None = None,
        on_link: Callable[[bool], None] = _nothing,
        on_gap: Callable[[], None] = _nothing,
    ) -> None:
        self._upstream = upstream
        self._clock = clock
        self._on_link = on_link
        self._on_gap = on_gap
        self._backoff = Backoff(first_s=0.1, most_s=15.0, rng=rng)
        self._log = structlog.get_logger("millrace.broker_mqtt").bind(link=upstream.link)
        self._wanted = upstream.subscriptions()
        self._session = ClientSession(
            upstream.client_id,
            upstream.version,
            ClientOptions(
                clean_start=False,
                keep_alive_s=upstream.keep_alive_s,
                session_expiry_s=upstream.session_expiry_s,
                username=upstream.username,
                password=upstream.password,
                acks_itself=False,
            ),
        )
        self._backlog = Backlog()
        self._link: MqttLink | None = None
        self._is_up = False
        self._up_at_s = 0.0
        self._pause_s = 0.0
        self._is_closed = False
        self._knows_session = upstream.had_session
        self._notes = [Note(session_note(upstream.client_id), b"1")]
        self._dialing = asyncio.Lock()
        self._news = asyncio.Event()
        self._ready: asyncio.Future[None] | None = None
        self._answers: dict[int, asyncio.Future[int]] = {}

    async def start(self) -> None:
        try:
            await self._dial()
        except RetryError as error:
            # The broker may come later than we do; `receive` goes on trying.
            self._pause_s = self._backoff.failed(error)

    async def receive(self) -> Intake:
        while not self._backlog:
            if self._is_up or self._is_closed:
                self._news.clear()
                await self._news.wait()
            else:
                await self._redial()
        intake = self._backlog.take()
        intake.notes, self._notes = self._notes, []
        return intake

    def settle(self, intake: Intake, offsets: Sequence[tuple[int, int]]) -> None:
        del offsets  # the broker delivers to its subscribers itself
        for ticket in self._backlog.settle(intake.ticket):
            self._session.acknowledge(ticket.epoch, ticket.packet_ids(1), 1)
            self._session.acknowledge(ticket.epoch, ticket.packet_ids(2), 2)
        if self._link is not None:
            self._link.flush()
            if self._backlog.size_bytes <= self._upstream.budget_bytes // 2:
                self._link.hold(is_held=False)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        expiry_s: int | None = None,
    ) -> None:
        try:
            await self._dial()
        except StopError as error:
            raise RetryError(str(error)) from error
        has_expiry = expiry_s is not None and self._session.version == 5  # noqa: PLR2004 - MQTT 5
        packet_id = self._session.publish(
            topic,
            payload,
            qos=qos,
            retain=retain,
            properties={MESSAGE_EXPIRY: expiry_s} if has_expiry else None,
        )
        if self._link is not None:
            self._link.flush()
        if packet_id:
            await self._taken_on(packet_id)

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._link is not None:
            self._session.send(Disconnect())
            self._link.flush()
            self._drop()
            self._lost(None)

    async def _taken_on(self, packet_id: int) -> None:
        """Wait until the broker has taken a message on; give it up after the time-out."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answers[packet_id] = future
        try:
            async with asyncio.timeout(self._upstream.timeout_s):
                reason = await future
        except TimeoutError:
            raise RetryError("the broker does not acknowledge the message") from None
        finally:
            self._answers.pop(packet_id, None)
            self._session.forget(packet_id)
        if reason >= UNSPECIFIED_ERROR:
            raise ProtocolError(reason, f"the broker refuses the message: {reason_name(reason)}")

    async def _redial(self) -> None:
        """Try to connect, after a pause with jitter that grows with each failure (F15)."""
        pause_s, self._pause_s = self._pause_s, 0.0
        await asyncio.sleep(pause_s)
        try:
            await self._dial()
        except (RetryError, StopError) as error:
            self._pause_s = self._backoff.failed(error)

    async def _dial(self) -> None:
        """Connect and subscribe, if that has not happened."""
        async with self._dialing:
            if self._is_up:
                return
            if self._is_closed:
                raise RetryError("the link is closed")
            upstream = self._upstream
            address = Address(upstream.host, upstream.port, upstream.tls)
            self._ready = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(upstream.timeout_s):
                    self._link = await open_link(address, self._session, self._take_in, self._lost)
                    self._link.gather_s = GATHER_S
                    await self._ready
            except TimeoutError:
                raise RetryError(f"{upstream.link} does not answer") from None
            finally:
                self._ready = None
                if not self._is_up:
                    self._drop()

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _take_in(self, packets: list[Packet]) -> None:
        messages = [one for one in packets if type(one) is Publish]
        if messages:
            self._backlog.add(self._session.epoch, messages, self._clock.now_ns())
            self._news.set()
            if self._is_up and self._backlog.size_bytes > self._upstream.budget_bytes:
                self._hold()
        if len(messages) != len(packets):
            for packet in packets:
                self._answered(packet)

    def _hold(self) -> None:
        if self._link is not None:
            self._link.hold(is_held=True)

    def _answered(self, packet: Packet) -> None:
        if isinstance(packet, PubAck | PubComp | PubRec):
            future = self._answers.get(packet.packet_id)
            if future is not None and not future.done():
                future.set_result(packet.reason)
        elif isinstance(packet, ConnAck):
            self._welcomed(packet)
        elif isinstance(packet, SubAck):
            self._subscribed(packet)
        elif isinstance(packet, Disconnect):
            self._log.warning("mqtt_disconnected_by_broker", reason=reason_name(packet.reason))

    def _welcomed(self, packet: ConnAck) -> None:
        """Subscribe, and find out whether the broker still knows us (F16)."""
        if packet.reason:
            self._fail(refusal(packet.reason))
            return
        if self._knows_session and not packet.session_present:
            self._log.warning("mqtt_possible_gap", reason="the broker has lost our session")
            self._on_gap()
        self._knows_session = True
        self._log.info("mqtt_connected", session_present=packet.session_present)
        if self._wanted:
            self._session.subscribe(self._wanted)
        else:
            self._up()

    def _subscribed(self, packet: SubAck) -> None:
        refused = [
            one.filter
            for one, reason in zip(self._wanted, packet.reasons, strict=False)
            if reason >= UNSPECIFIED_ERROR
        ]
        if refused:
            self._fail(StopError(f"the broker refuses to send {', '.join(refused)}"))
        else:
            self._up()

    def _up(self) -> None:
        self._is_up = True
        self._up_at_s = self._clock.steady_s()
        self._on_link(True)  # noqa: FBT003 - the one argument of a gauge
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _fail(self, error: MillraceError) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)

    def _lost(self, error: Exception | None) -> None:
        """Take note that the connection is gone; `receive` brings it back."""
        self._link = None
        reason = RetryError(f"the connection is gone: {error or 'closed by the broker'}")
        self._fail(reason)
        if self._is_up:
            self._is_up = False
            self._on_link(False)  # noqa: FBT003 - the one argument of a gauge
            if not self._is_closed:
                self._log.warning("mqtt_disconnected", reason=str(reason))
                if self._clock.steady_s() - self._up_at_s >= STABLE_S:
                    self._backoff.succeeded()
                self._pause_s = self._backoff.failed(reason)
        self._news.set()
