"""One message onto one connection: properties, alias, size limit, and the bytes themselves.

Source: MQTT 5.0, 3.3.2.3.
"""

from millrace.adapters.broker_endpoint.limits import EndpointCounters, EndpointLimits
from millrace.adapters.broker_endpoint.session import V5, Delivery, Message, Peer, Session
from millrace.mqtt import properties as props
from millrace.mqtt.packets import publish_bytes
from millrace.ports.clock import Clock

_FORWARDED = frozenset(
    (
        props.PAYLOAD_FORMAT, props.CONTENT_TYPE, props.RESPONSE_TOPIC, props.CORRELATION_DATA,
        props.USER_PROPERTY,
    )
)  # fmt: skip


def forwarded(properties: props.Properties | None) -> props.Properties | None:
    """Return the properties of a received message that go on to its subscribers."""
    if not properties:
        return None
    return {key: value for key, value in properties.items() if key in _FORWARDED} or None


class Sender:
    """Writes PUBLISH packets."""

    def __init__(self, limits: EndpointLimits, counters: EndpointCounters, clock: Clock) -> None:
        self._limits = limits
        self._counters = counters
        self._clock = clock
        self._last: tuple[Message, bytes] | None = None

    def send_at_most_once(
        self, session: Session, message: Message, *, retain: bool, ids: tuple[int, ...]
    ) -> None:
        """Send at QoS 0, or drop and count when the client does not read."""
        peer = session.peer
        if peer is None:
            return
        if peer.buffered_bytes > self._limits.subscriber_buffer_bytes:
            self._counters.dropped_to_subscribers += 1
            return
        if peer.version == V5 or retain:
            delivery = Delivery(message, 0, retain=retain)
            delivery.identifiers = ids
            self.send(peer, delivery, 0)
            return
        # Fan-out: many 3.1.1 subscribers get the same bytes
        last = self._last
        if last is None or last[0] is not message:
            data = publish_bytes(message.topic, message.payload, 0, False, False, 0, 4)  # noqa: FBT003 - positional by contract
            last = self._last = (message, data)
        self._write(peer, last[1])

    def send(self, peer: Peer, delivery: Delivery, packet_id: int, *, dup: bool = False) -> bool:
        """Send one message; return False when it is larger than the client takes."""
        message = delivery.message
        if message is None:
            return False
        topic, properties = message.topic, None
        if peer.version == V5:
            topic, properties = self._properties(peer, message, delivery)
        data = publish_bytes(
            topic, message.payload, delivery.qos, delivery.retain, dup, packet_id, peer.version,
            properties,
        )  # fmt: skip
        return self._write(peer, data)

    def has_expired(self, delivery: Delivery) -> bool:
        """Return whether a message may no longer be delivered, and count it."""
        if not delivery.expires_ns or delivery.expires_ns > self._clock.now_ns():
            return False
        self._counters.expired += 1
        return True

    def _write(self, peer: Peer, data: bytes) -> bool:
        if len(data) > peer.max_packet_bytes:
            self._counters.dropped_to_subscribers += 1
            return False
        peer.send(data)
        self._counters.delivered += 1
        return True

    def _properties(
        self, peer: Peer, message: Message, delivery: Delivery
    ) -> tuple[str, props.Properties | None]:
        found = dict(message.properties or {})
        if message.expires_ns:
            left_ns = message.expires_ns - self._clock.now_ns()
            found[props.MESSAGE_EXPIRY] = max(1, -(-left_ns // 1_000_000_000))
        if delivery.identifiers:
            found[props.SUBSCRIPTION_ID] = list(delivery.identifiers)
        if len(message.topic) + len(message.payload) + 64 > peer.max_packet_bytes:
            # An alias in a packet that is not sent would never become known
            return message.topic, found or None
        alias, is_known = peer.alias(message.topic)
        if alias:
            found[props.TOPIC_ALIAS] = alias
        return "" if is_known else message.topic, found or None
