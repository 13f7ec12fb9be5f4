"""One connection to the broker, for one device or for many, kept for as long as the fleet runs.

Rules: `online` goes out first after every CONNACK, the backlog behind it, in order. What the broker
has not acknowledged when a connection breaks is sent again by the session. A device that restarts
leaves without a goodbye, so that its will is published.
Source: MTR-078, MTR-151, SNS-100.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Final

from millrace.flow.mqtt_client import MqttClient
from millrace.flow.mqtt_link import Address
from millrace.mqtt.options import ClientOptions
from millrace.mqtt.packets import ProtocolError, Publish, Subscription, Will
from millrace.mqtt.session import ClientSession
from millrace.simulate.acts import Device, Message
from millrace.simulate.store_and_forward import Outbox

FILTERS_MOST: Final = 500
IN_FLIGHT_MAX: Final = 64
RETRY_MOST_S: Final = 5.0
# A connection that ends sooner counts as a failure: somebody else may use the same client id.
STABLE_S: Final = 5.0

Heard = Callable[[int, str, bytes], None]


class DeviceClient(MqttClient):
    """A client that can lose power, and says whether its socket takes more."""

    __slots__ = ()

    @property
    def is_full(self) -> bool:
        """Whether the socket takes no more for the moment."""
        return self._link is not None and self._link.drained is not None

    def vanish(self) -> None:
        """Break the connection without a goodbye."""
        self._drop()
        self._lost(None)

    def repeat(self, message: Message, packet_id: int) -> None:
        """Send a packet again, as a client does that missed the acknowledgement."""
        again = Publish(
            message.topic,
            message.payload,
            message.qos,
            message.retain,
            packet_id=packet_id,
            dup=True,
        )
        self.session.send(again)
        self._flush_soon()


@dataclass(slots=True)
class Tally:
    """What the connections of a fleet have done; `repeated` packets are not counted as sent."""

    sent: int = 0
    repeated: int = 0
    unconfirmed: int = 0  # sent at QoS 0: nobody says whether they came
    refused: int = 0
    received: int = 0
    reconnects: int = 0


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the broker, and the spans: to try at the start, to rest, to wait at the end."""

    address: Address
    username: str | None = None
    password: bytes | None = None
    version: int = 5
    buffer_messages: int = 10_000
    start_s: float = 10.0
    restart_s: float = 1.0
    drain_s: float = 10.0


class Line:
    """A connection with the devices that share it, as (number in the fleet, device)."""

    def __init__(
        self,
        client_id: str,
        devices: Sequence[tuple[int, Device]],
        access: Access,
        *,
        tally: Tally,
        rng: Random,
    ) -> None:
        self.devices = devices
        self.outbox = Outbox(access.buffer_messages)
        self.is_open = False
        self._access = access
        self._tally = tally
        self._rng = rng
        self._has_filters = any(device.filters for _, device in devices)
        self._heard: Heard | None = None
        self._by_id = {device.device_id: number for number, device in devices}
        self._lost = asyncio.Event()
        self._failures = 0
        self._opened_s = inf
        self._last_id = 0
        self._rest_s = 0.0
        session = ClientSession(client_id, access.version, self._options(None))
        self._client = DeviceClient(session, on_message=self._take_in, on_lost=self._on_lost)
        self.session = session

    @property
    def in_flight(self) -> int:
        """Messages that the broker has not acknowledged."""
        return self.session.in_flight_max - self.session.room

    async def open(self, now_ns: Callable[[], int], heard: Heard) -> None:
        """Connect, say `online`, subscribe, and send what waits.

        Raises:
            RetryError: Nobody answers, or the connection broke again at once.
            StopError: The broker refuses for good.
        """
        self._heard = heard
        self._lost.clear()
        self._last_id = 0
        self.session.options = self._options(self._will(now_ns()))
        await self._client.connect(self._access.address)
        self.is_open = True
        self._opened_s = asyncio.get_running_loop().time()
        for _, device in self.devices:
            device.is_offline = False
            online = device.status(now_ns(), is_online=True)
            if online is not None:
                # Not posted: what the session sends again may have left no room.
                self.outbox.put_first(online)
        self.pump()
        await self._subscribe()

    def send(self, message: Message) -> bool:
        """Send a message, or keep it; return whether it was sent."""
        if self.is_open and not len(self.outbox) and self._can_send(message):
            self._post(message)
            return True
        self.outbox.put(message)
        return False

    def pump(self) -> None:
        """Send what waits, as far as the broker takes it."""
        while self.is_open:
            message = self.outbox.next()
            if message is None or not self._can_send(message):
                return
            self.outbox.take()
            self._post(message)

    def restart(self) -> None:
        """Lose power, and be back after a moment. A shared line stays: the others need it."""
        if len(self.devices) == 1 and self.is_open:
            self._rest_s = self._access.restart_s
            self._client.vanish()

    async def lost(self) -> None:
        """Wait until the connection has ended."""
        await self._lost.wait()

    def retry_s(self) -> float:
        """Return how long to wait before the next attempt: longer each time, with jitter."""
        rest_s, self._rest_s = self._rest_s, 0.0
        if rest_s:
            return rest_s
        if asyncio.get_running_loop().time() - self._opened_s > STABLE_S:
            self._failures = 0
        self._opened_s = inf
        self._failures += 1
        ceiling = min(RETRY_MOST_S, 0.1 * 2 ** min(self._failures, 10))
        return self._rng.uniform(0.05, ceiling)

    def close(self, now_ns: int) -> None:
        """Say farewell and goodbye; wills are void then."""
        if not self.is_open:
            return
        for _, device in self.devices:
            farewell = device.status(now_ns, is_online=False)
            if farewell is not None:
                self._post(farewell)
        self._client.disconnect()

    def _options(self, will: Will | None) -> ClientOptions:
        access = self._access
        return ClientOptions(
            clean_start=not self._has_filters,
            session_expiry_s=3600 if self._has_filters else 0,
            keep_alive_s=30,
            username=access.username,
            password=access.password,
            will=will,
            in_flight_max=IN_FLIGHT_MAX,
        )

    def _will(self, now_ns: int) -> Will | None:
        if len(self.devices) > 1:
            return None
        message = self.devices[0][1].status(now_ns, is_online=False)
        if message is None:
            return None
        return Will(message.topic, message.payload, message.qos, message.retain)

    async def _subscribe(self) -> None:
        filters = [one for _, device in self.devices for one in device.filters]
        for start in range(0, len(filters), FILTERS_MOST):
            part: list[Subscription] = filters[start : start + FILTERS_MOST]
            await self._client.subscribe(part)

    def _can_send(self, message: Message) -> bool:
        return self.session.room > 0 if message.qos else not self._client.is_full

    def _post(self, message: Message) -> None:
        """Hand a message to the session; a second copy at QoS 1 is the same packet with DUP.

        At QoS 2 the broker would drop that, so the copy is a message of its own, as if it came
        over another broker (MTR-011).
        """
        if message.is_dup and message.qos == 1 and self._last_id:
            self._client.repeat(message, self._last_id)
            self._tally.repeated += 1
            return
        try:
            self._last_id = self._client.post(
                message.topic, message.payload, qos=message.qos, retain=message.retain
            )
        except ProtocolError:
            self._tally.refused += 1
            return
        self._tally.sent += 1
        if not message.qos:
            self._tally.unconfirmed += 1

    def _take_in(self, message: Publish) -> None:
        self._tally.received += 1
        if self._heard is None:
            return
        levels = message.topic.split("/", 2)
        number = self._by_id.get(levels[1]) if len(levels) > 1 else None
        if number is not None and not message.retain:
            self._heard(number, message.topic, message.payload)

    def _on_lost(self, error: Exception | None) -> None:
        self.is_open = False
        for _, device in self.devices:
            device.is_offline = True
        self._lost.set()
