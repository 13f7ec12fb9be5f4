"""What the endpoint may use up, and what it counts.

Every buffer has a bound here and a named behaviour when it is full: publishers are slowed (never
their pings), QoS 0 is shed and counted, slow subscribers lose QoS 0 and are then disconnected.
Source: D-17; faults F37, F43, F44, F45; attacks A1, A6, A11.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """Bounds of one endpoint.

    Units: bytes and seconds as named; `receive_max` and `max_unacknowledged` in messages.
    `receive_max` is announced to MQTT 5 clients; at `max_unacknowledged` a socket is paused.
    `max_unreleased` QoS 2 messages may wait for their PUBREL. `max_queue` is per session,
    `max_queued` over all of them.
    """

    max_packet_bytes: int = 4 << 20
    max_connections: int = 20_000
    max_sessions: int = 200_000
    max_client_id_bytes: int = 256
    max_session_expiry_s: int = 7 * 86_400
    max_keep_alive_s: int = 3_600
    max_subscriptions: int = 1_000
    topic_alias_max: int = 32
    receive_max: int = 64
    max_unacknowledged: int = 128
    max_unreleased: int = 1_024
    max_pending_bytes: int = 64 << 20
    max_retained: int = 200_000
    max_retained_bytes: int = 64 << 20
    max_queue: int = 10_000
    max_queued: int = 500_000
    max_queue_bytes: int = 16 << 20
    subscriber_buffer_bytes: int = 4 << 20
    connect_timeout_s: float = 10.0
    will_grace_s: float = 30.0
    sweep_s: float = 0.5
    linger_s: float = 0.0


@dataclass(slots=True)
class EndpointCounters:
    """What happened so far; plain numbers that an observer reads. `clients` goes up and down."""

    clients: int = 0
    connections: int = 0
    accepted: int = 0
    refused: int = 0
    auth_failures: int = 0
    denied: int = 0
    received: int = 0
    shed: int = 0
    duplicates: int = 0
    protocol_errors: int = 0
    paused: int = 0
    timeouts: int = 0
    takeovers: int = 0
    wills: int = 0
    delivered: int = 0
    dropped_to_subscribers: int = 0
    expired: int = 0
    slow_disconnects: int = 0
    retained_refused: int = 0
