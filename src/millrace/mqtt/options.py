"""What a client asks for, and the CONNECT that says so.

Source: MQTT 5.0, 3.1; MTR-008.
"""

import msgspec

from millrace.mqtt.packets import PACKET_BYTES_MAX, Connect, Will
from millrace.mqtt.properties import (
    MAXIMUM_PACKET_SIZE,
    SESSION_EXPIRY,
    TOPIC_ALIAS_MAXIMUM,
    Properties,
)


class ClientOptions(msgspec.Struct, frozen=True, gc=False):
    """What a client asks for; one value may serve any number of sessions.

    `in_flight_max` limits messages on their way out, `alias_maximum` the aliases that the broker
    may use, `uses_aliases` says whether we use those that it allows. With `acks_itself` messages
    are acknowledged as they are read; without, the owner calls `acknowledge`.
    Units: `session_expiry_s` reaches the broker in 5.0 only.
    """

    clean_start: bool = False
    keep_alive_s: int = 15
    session_expiry_s: int = 3600
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    in_flight_max: int = 64
    max_packet_bytes: int = PACKET_BYTES_MAX
    alias_maximum: int = 0
    uses_aliases: bool = False
    acks_itself: bool = True


def connect_packet(client_id: str, version: int, options: ClientOptions) -> Connect:
    """Return the CONNECT of a client."""
    return Connect(
        client_id,
        version,
        options.clean_start,
        options.keep_alive_s,
        options.username,
        options.password,
        options.will,
        _wishes(options) if version >= 5 else None,  # noqa: PLR2004 - properties are MQTT 5
    )


def _wishes(options: ClientOptions) -> Properties:
    wishes: Properties = {}
    if options.session_expiry_s:
        wishes[SESSION_EXPIRY] = options.session_expiry_s
    if options.alias_maximum:
        wishes[TOPIC_ALIAS_MAXIMUM] = options.alias_maximum
    if options.max_packet_bytes < PACKET_BYTES_MAX:
        wishes[MAXIMUM_PACKET_SIZE] = options.max_packet_bytes
    return wishes
