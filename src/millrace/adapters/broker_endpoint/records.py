r"""Notes: what of the endpoint's memory must outlive the process, as keys and values of the log.

Keys begin with `mq/`, then a letter for the kind, then the client id or the topic. Values are
msgpack arrays whose first member is the version of the record; an unknown version stops the start
(D-22). Nothing here knows sockets or sessions.

    mq/s/<client>          session: version, expiry, subscriptions
    mq/w/<client>          will of a connected client
    mq/2/<client>          QoS 2 packet ids, both directions
    mq/q/<client>\0<n>     part n of the queue of a session: positions, or whole messages
    mq/r/<topic>           retained message
    mq/v                   next offset per partition up to which queues are complete

Source: D-16, D-22.
"""

from typing import Any, TypeVar

import msgspec

from millrace.errors import StopError

PREFIX = b"mq/"
SESSION = b"mq/s/"
WILL = b"mq/w/"
EXACTLY_ONCE = b"mq/2/"
QUEUE = b"mq/q/"
RETAINED = b"mq/r/"
ROUTED = b"mq/v"
VERSION = 1

Properties = dict[int, Any]


class SubscriptionRecord(msgspec.Struct, array_like=True):
    """One subscription of a session; `topic_filter` as sent, `$share/...` included."""

    topic_filter: str
    qos: int
    no_local: bool
    retain_as_published: bool
    identifier: int


class SessionRecord(msgspec.Struct, array_like=True):
    """A persistent session. `disconnected_ns` 0 means: was connected."""

    v: int
    protocol: int
    expiry_s: int
    disconnected_ns: int
    principal: str
    subscriptions: list[SubscriptionRecord]


class WillRecord(msgspec.Struct, array_like=True):
    """The will of a client, with the delay before it is published."""

    v: int
    principal: str
    topic: str
    payload: bytes
    qos: int
    retain: bool
    delay_s: int
    properties: Properties | None


class ExactlyOnceRecord(msgspec.Struct, array_like=True):
    """QoS 2 state: ids received, and (id, queue part, released) of messages sent."""

    v: int
    received: list[int]
    sent: list[tuple[int, int, bool]]


class QueueEntry(msgspec.Struct, array_like=True):
    """One message for a session: a position in the log (`partition` >= 0) or the message itself."""

    partition: int
    offset: int
    qos: int
    retain: bool
    identifiers: list[int]
    expires_ns: int
    topic: str = ""
    payload: bytes = b""
    properties: Properties | None = None


class QueueRecord(msgspec.Struct, array_like=True):
    """One part of a queue."""

    v: int
    entries: list[QueueEntry]


class RetainedRecord(msgspec.Struct, array_like=True):
    """A retained message; `expires_ns` 0 means never."""

    v: int
    payload: bytes
    qos: int
    expires_ns: int
    properties: Properties | None


class RoutedRecord(msgspec.Struct, array_like=True):
    """Up to which offsets every queue part is stored or done with."""

    v: int
    offsets: dict[int, int]


Record = TypeVar("Record", bound=msgspec.Struct)

_encoder = msgspec.msgpack.Encoder()
encode_record = _encoder.encode


def decode_record(value: bytes, kind: type[Record]) -> Record:
    """Return the record in a note.

    Raises:
        StopError: The note is damaged or was written by a later release.
    """
    remedy = "start the release that wrote this log, or restore the log from a backup"
    try:
        version = msgspec.msgpack.decode(value)[0]
        if version != VERSION:
            raise StopError(f"endpoint note {kind.__name__} has version {version}", remedy)
        return msgspec.msgpack.decode(value, type=kind)
    except (msgspec.DecodeError, TypeError, IndexError, KeyError) as error:
        raise StopError(f"endpoint note {kind.__name__} is damaged: {error}", remedy) from error


def queue_key(client_id: str, part: int) -> bytes:
    """Return the key of one part of a queue; parts sort by number."""
    return b"%b%b\x00%b" % (QUEUE, client_id.encode(), part.to_bytes(8, "big"))


def split_queue_key(key: bytes) -> tuple[str, int]:
    """Return client id and part number of a queue key."""
    return key[len(QUEUE) : -9].decode(), int.from_bytes(key[-8:], "big")
