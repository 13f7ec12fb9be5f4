"""An MQTT client for one device or one publisher; small, because a process may hold thousands.

Rules: what is sent in one turn of the event loop goes out in one write. Reconnecting is the
caller's business: `connect` again, with the same session, and what was not acknowledged is sent
again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from millrace.errors import RetryError
from millrace.flow.mqtt_link import Address, MqttLink, open_link, refusal
from millrace.mqtt.packets import (
    ConnAck,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    SubAck,
    Subscription,
)
from millrace.mqtt.properties import Properties
from millrace.mqtt.reasons import UNSPECIFIED_ERROR, ProtocolError, reason_name
from millrace.mqtt.session import ClientSession

_CONNACK = 0  # no packet has this id


class MqttClient:
    """A session with a socket. Used from one event loop.

    `on_message` gets every message that comes; `on_lost` is called when a connection has ended.
    """

    __slots__ = (
        "_answers",
        "_is_flushing",
        "_link",
        "_on_lost",
        "_on_message",
        "_queue",
        "session",
    )

    def __init__(
        self,
        session: ClientSession,
        *,
        on_message: Callable[[Publish], None] | None = None,
        on_lost: Callable[[Exception | None], None] | None = None,
    ) -> None:
        self.session = session
        self._on_message = on_message
        self._on_lost = on_lost
        self._link: MqttLink | None = None
        self._answers: dict[int, asyncio.Future[Packet]] = {}
        self._queue: deque[asyncio.Future[None]] = deque()
        self._is_flushing = False

    @property
    def is_connected(self) -> bool:
        """Whether messages can be sent."""
        return self._link is not None and self.session.is_connected

    async def connect(self, address: Address, *, timeout_s: float = 10.0) -> ConnAck:
        """Connect, and return what the broker says.

        Raises:
            RetryError: Nobody answers, or the broker refuses for the moment.
            StopError: The broker refuses for good.
        """
        # Expected before the socket is opened: the answer may be there when `open_link` returns.
        welcome = self._expect(_CONNACK)
        try:
            async with asyncio.timeout(timeout_s):
                self._link = await open_link(address, self.session, self._take_in, self._lost)
                answer = await welcome
        except TimeoutError:
            self._drop()
            raise RetryError(f"{address.host}:{address.port} does not answer") from None
        finally:
            self._answers.pop(_CONNACK, None)
        if not isinstance(answer, ConnAck) or answer.reason:
            self._drop()
            raise refusal(answer.reason if isinstance(answer, ConnAck) else UNSPECIFIED_ERROR)
        return answer

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        """Send a message, and return when the broker has taken it on (QoS 0: when it is sent).

        Waits while `in_flight_max` messages are on their way.
        Raises:
            RetryError: The connection is gone; at QoS 1 and 2 the next `connect` sends it again.
            ProtocolError: The broker refuses the message.
        """
        while qos and self.session.room <= 0:
            await self._turn()
        if not self.is_connected:
            raise RetryError("not connected")
        packet_id = self.session.publish(
            topic, payload, qos=qos, retain=retain, properties=properties
        )
        self._flush_soon()
        if not qos:
            await self._drained()
            return
        answer = await self._answer(packet_id)
        reason = getattr(answer, "reason", 0)
        if reason >= UNSPECIFIED_ERROR:
            raise ProtocolError(reason, f"the broker refuses the message: {reason_name(reason)}")

    def post(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> int:
        """Send a message without waiting; return its packet id.

        Raises:
            RetryError: Not connected, or `in_flight_max` messages are on their way.
        """
        if not self.is_connected:
            raise RetryError("not connected")
        packet_id = self.session.publish(topic, payload, qos=qos, retain=retain)
        self._flush_soon()
        return packet_id

    async def subscribe(self, filters: Sequence[Subscription]) -> list[int]:
        """Subscribe, and return the broker's reason for each filter (0x80 and above: refused).

        Raises:
            RetryError: The connection is gone.
            ProtocolError: A filter is not one.
        """
        if not self.is_connected:
            raise RetryError("not connected")
        packet_id = self.session.subscribe(filters)
        self._flush_soon()
        answer = await self._answer(packet_id)
        return answer.reasons if isinstance(answer, SubAck) else []

    def disconnect(self) -> None:
        """Say goodbye and close; the broker forgets the will."""
        if self._link is not None:
            self.session.send(Disconnect())
            self._link.flush()
            self._drop()
            self._lost(None)

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _expect(self, packet_id: int) -> asyncio.Future[Packet]:
        future: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()
        self._answers[packet_id] = future
        return future

    async def _answer(self, packet_id: int) -> Packet:
        try:
            return await self._expect(packet_id)
        finally:
            self._answers.pop(packet_id, None)

    async def _turn(self) -> None:
        """Wait until one message has been acknowledged."""
        if not self.is_connected:
            raise RetryError("not connected")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._next_turn()
            raise

    async def _drained(self) -> None:
        """Let the loop turn, and wait while the socket takes no more."""
        await asyncio.sleep(0)
        if self._link is not None and self._link.drained is not None:
            await self._link.drained.wait()

    def _flush_soon(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        if self._link is not None:
            self._link.flush()

    def _take_in(self, packets: list[Packet]) -> None:
        for packet in packets:
            if isinstance(packet, Publish):
                if self._on_message is not None:
                    self._on_message(packet)
            elif isinstance(packet, PubAck | PubComp | PubRec | SubAck):
                self._settle(packet.packet_id, packet)
                self._next_turn()
            elif isinstance(packet, ConnAck):
                self._settle(_CONNACK, packet)

    def _settle(self, packet_id: int, packet: Packet) -> None:
        future = self._answers.get(packet_id)
        if future is not None and not future.done():
            future.set_result(packet)

    def _next_turn(self) -> None:
        while self._queue:
            future = self._queue.popleft()
            if not future.done():
                future.set_result(None)
                return

    def _lost(self, error: Exception | None) -> None:
        self._link = None
        self.session.is_connected = False
        waiting: list[asyncio.Future[Any]] = [*self._answers.values(), *self._queue]
        self._queue.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(RetryError(f"the connection is gone: {error}"))
        if self._on_lost is not None:
            self._on_lost(error)
