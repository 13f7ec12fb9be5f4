"""Packets as values, and the way between them and bytes: what a server or a client imports.

`version` is 4 for MQTT 3.1.1 (3.1 counts as 3.1.1) and 5 for MQTT 5.0.
"""

from millrace.mqtt.decoder import PACKET_BYTES_MAX, TOPICS_MAX, Decoder, Role
from millrace.mqtt.encoder import (
    PINGREQ,
    PINGRESP,
    encode,
    puback,
    pubacks,
    publish_bytes,
    pubrecs,
)
from millrace.mqtt.reasons import ProtocolError
from millrace.mqtt.values import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)

__all__ = [
    "PACKET_BYTES_MAX",
    "PINGREQ",
    "PINGRESP",
    "TOPICS_MAX",
    "Auth",
    "ConnAck",
    "Connect",
    "Decoder",
    "Disconnect",
    "Packet",
    "PingReq",
    "PingResp",
    "ProtocolError",
    "PubAck",
    "PubComp",
    "PubRec",
    "PubRel",
    "Publish",
    "Role",
    "SubAck",
    "Subscribe",
    "Subscription",
    "UnsubAck",
    "Unsubscribe",
    "Will",
    "encode",
    "puback",
    "pubacks",
    "publish_bytes",
    "pubrecs",
]
