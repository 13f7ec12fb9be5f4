"""Reason codes of MQTT 5, and the error that carries one.

Version 3.1.1 has only return codes of CONNACK (`CONNACK_V4` translates) and 0x80 in SUBACK.

Source: MQTT 5.0, 2.4; MQTT 3.1.1, 3.2.2.3.
"""

from typing import Any, Final

from millrace.errors import RejectError

SUCCESS: Final = 0x00
GRANTED_QOS_1: Final = 0x01
GRANTED_QOS_2: Final = 0x02
DISCONNECT_WITH_WILL: Final = 0x04
NO_MATCHING_SUBSCRIBERS: Final = 0x10
NO_SUBSCRIPTION_EXISTED: Final = 0x11
CONTINUE_AUTHENTICATION: Final = 0x18
REAUTHENTICATE: Final = 0x19
UNSPECIFIED_ERROR: Final = 0x80
MALFORMED_PACKET: Final = 0x81
PROTOCOL_ERROR: Final = 0x82
IMPLEMENTATION_ERROR: Final = 0x83
UNSUPPORTED_VERSION: Final = 0x84
CLIENT_ID_NOT_VALID: Final = 0x85
BAD_USER_OR_PASSWORD: Final = 0x86
NOT_AUTHORIZED: Final = 0x87
SERVER_UNAVAILABLE: Final = 0x88
SERVER_BUSY: Final = 0x89
BANNED: Final = 0x8A
SERVER_SHUTTING_DOWN: Final = 0x8B
BAD_AUTHENTICATION_METHOD: Final = 0x8C
KEEP_ALIVE_TIMEOUT: Final = 0x8D
SESSION_TAKEN_OVER: Final = 0x8E
TOPIC_FILTER_INVALID: Final = 0x8F
TOPIC_NAME_INVALID: Final = 0x90
PACKET_ID_IN_USE: Final = 0x91
PACKET_ID_NOT_FOUND: Final = 0x92
RECEIVE_MAXIMUM_EXCEEDED: Final = 0x93
TOPIC_ALIAS_INVALID: Final = 0x94
PACKET_TOO_LARGE: Final = 0x95
MESSAGE_RATE_TOO_HIGH: Final = 0x96
QUOTA_EXCEEDED: Final = 0x97
ADMINISTRATIVE_ACTION: Final = 0x98
PAYLOAD_FORMAT_INVALID: Final = 0x99
RETAIN_NOT_SUPPORTED: Final = 0x9A
QOS_NOT_SUPPORTED: Final = 0x9B
USE_ANOTHER_SERVER: Final = 0x9C
SERVER_MOVED: Final = 0x9D
SHARED_SUBSCRIPTIONS_NOT_SUPPORTED: Final = 0x9E
CONNECTION_RATE_EXCEEDED: Final = 0x9F
MAXIMUM_CONNECT_TIME: Final = 0xA0
SUBSCRIPTION_IDS_NOT_SUPPORTED: Final = 0xA1
WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED: Final = 0xA2

NAMES: Final[dict[int, str]] = {
    value: name.lower()
    for name, value in list(globals().items())
    if name.isupper() and isinstance(value, int)
}

# What a 3.1.1 client is told in CONNACK; anything else is "server unavailable".
CONNACK_V4: Final[dict[int, int]] = {
    SUCCESS: 0,
    UNSUPPORTED_VERSION: 1,
    CLIENT_ID_NOT_VALID: 2,
    SERVER_UNAVAILABLE: 3,
    BAD_USER_OR_PASSWORD: 4,
    NOT_AUTHORIZED: 5,
    BANNED: 5,
}

_FROM_V4: Final[dict[int, int]] = {
    0: SUCCESS,
    1: UNSUPPORTED_VERSION,
    2: CLIENT_ID_NOT_VALID,
    3: SERVER_UNAVAILABLE,
    4: BAD_USER_OR_PASSWORD,
    5: NOT_AUTHORIZED,
}


class ProtocolError(RejectError):
    """The peer broke a rule of MQTT; the connection must end with `reason_code`.

    `packets` are those that came complete before the offence in the same read: they count, and
    whoever catches the error handles them first.
    """

    def __init__(self, reason_code: int, message: str) -> None:
        super().__init__(reason_name(reason_code), message)
        self.reason_code = reason_code
        self.packets: list[Any] = []


def reason_name(reason_code: int) -> str:
    """Return the name of a reason code as it stands in logs and labels."""
    return NAMES.get(reason_code, f"reason_0x{reason_code:02x}")


def connack_v4(reason_code: int) -> int:
    """Return the return code that tells a 3.1.1 client what `reason_code` tells a 5.0 client."""
    return CONNACK_V4.get(reason_code, 3)


def from_connack_v4(return_code: int) -> int:
    """Return the reason code that means the same as a return code of 3.1.1."""
    return _FROM_V4.get(return_code, UNSPECIFIED_ERROR)
