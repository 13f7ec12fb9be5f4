"""The device endpoint: an MQTT server whose acknowledgement means "durable in the log".

    listener      sockets, and the broker port
    websocket     MQTT in WebSocket frames
    connection    bytes -> packets -> columns; answers -> bytes
    services      what connections call; the sweep
    lifecycle     CONNECT, takeover, will, expiry
    subscribing   SUBSCRIBE, retained messages
    publishing    messages on their way into the log, and `settle`
    receipts      acknowledgements of subscribers
    delivery      queues and packets in flight;  sending: one message onto one connection
    routes        who gets a topic;  retained: the last message of a topic
    inbox         what waits for the log;  records: notes;  restore, fetching: back from the log
    session       one client;  limits, access: bounds, admission;  hub: what all of them share

Rules: one event loop, no lock; nothing is acknowledged before `settle`; every buffer has a bound.
Source: D-16, D-17, MTR-001 to MTR-011; MQTT 3.1.1 and 5.0.
"""

from millrace.adapters.broker_endpoint.access import Access, OpenAccess, Refusal
from millrace.adapters.broker_endpoint.limits import EndpointCounters, EndpointLimits
from millrace.adapters.broker_endpoint.listener import (
    EndpointAddresses,
    EndpointBroker,
    EndpointTls,
)

__all__ = [
    "Access",
    "EndpointAddresses",
    "EndpointBroker",
    "EndpointCounters",
    "EndpointLimits",
    "EndpointTls",
    "OpenAccess",
    "Refusal",
]
