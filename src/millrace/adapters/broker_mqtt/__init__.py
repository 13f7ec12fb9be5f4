"""Messages from a broker that is not ours: Mosquitto, EMQX, HiveMQ.

The session at the broker is persistent and its client id fixed, so what comes while we are away
waits there. What the broker itself loses (Mosquitto keeps its queues in memory between two saves)
is beyond us; when it has lost our session we say "possible gap".
"""

from millrace.adapters.broker_mqtt.broker import MqttBroker
from millrace.adapters.broker_mqtt.upstream import (
    DEFAULT_FILTERS,
    Upstream,
    client_tls,
    session_note,
)

__all__ = ["DEFAULT_FILTERS", "MqttBroker", "Upstream", "client_tls", "session_note"]
