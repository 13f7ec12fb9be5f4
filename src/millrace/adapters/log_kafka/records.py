"""Messages as records and back.

The value is the JSON of `model.records`; what has no place there travels in headers: `packet_id`,
`flags` when there are others than QoS, retain and DUP, `extra`, `kind` of a record that no device
sent (D-14), `by` for one of several writers.

A record of somebody else need not look like ours byte for byte: any JSON with the documented
members will do. One that is none at all becomes a message of a topic that no family takes, so it
ends as a dead letter and blocks nothing. So does an offset that has no record: the end of somebody
else's transaction.
Source: D-14, D-50, F2-120.
"""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import Message

from millrace.adapters.log_kafka.client import MAX_RECORD_BYTES
from millrace.model.instants import MAX_NS, MIN_NS
from millrace.model.message import DUP, NOT_FROM_DEVICE, QOS_MASK, RETAIN, TICK, RawBatch
from millrace.model.records import (
    PAYLOAD,
    TIMESTAMP,
    embedded,
    in_base64,
    record_head,
    record_tail,
    unpacked,
)

MAX_TOPICS: Final = 400_000
UNREADABLE: Final = "$unreadable"
_IN_JSON: Final = QOS_MASK | RETAIN | DUP
_ROOM: Final = 1 << 16
_MOST: Final = (1 << 16) - 1

Headers = list[tuple[str, str | bytes | None]]


class Record(NamedTuple):
    """One message on its way into a partition."""

    partition: int
    key: bytes | None
    value: bytes
    headers: Headers
    time_ms: int


class Packer:
    """Messages to records. `device_of` says whose message a topic carries; `by` who writes."""

    def __init__(self, device_of: Callable[[str], str], by: str = "") -> None:
        self._device_of = device_of
        self._by: Headers = [("by", by)] if by else []
        self._heads: dict[str, tuple[bytes, bytes]] = {}

    def records(self, batch: RawBatch) -> Iterable[Record]:
        """Yield the records of a batch, in order."""
        columns = zip(
            batch.topics, batch.payloads, batch.received_at_ns, batch.flags, batch.client_ids,
            batch.packet_ids, strict=True,
        )  # fmt: skip
        for i, (topic, payload, at_ns, flags, client_id, packet_id) in enumerate(columns):
            device, head = self._heads.get(topic) or self._learn(topic)
            key: bytes | None = device
            tail = record_tail(at_ns, flags, client_id)
            value = b"".join((head, embedded(payload), tail))
            if len(value) > MAX_RECORD_BYTES - _ROOM:
                # Text of control characters is six times as long in JSON.
                value = b"".join((head, in_base64(payload), tail))
            headers = [*self._by]
            if packet_id:
                headers.append(("packet_id", b"%d" % packet_id))
            if flags & ~_IN_JSON:
                headers.append(("flags", b"%d" % flags))
            if i in batch.extras:
                headers.append(("extra", batch.extras[i]))
            if flags & NOT_FROM_DEVICE:
                headers.append(("kind", b"tick" if flags & TICK else b"registry"))
                key = None
            yield Record(batch.partition, key, value, headers, at_ns // 1_000_000)

    def _learn(self, topic: str) -> tuple[bytes, bytes]:
        device_id = self._device_of(topic)
        if len(self._heads) >= MAX_TOPICS:
            self._heads.clear()
        found = (device_id.encode(), record_head(topic, device_id))
        self._heads[topic] = found
        return found


def headers_of(message: Message) -> list[tuple[str, bytes]]:
    """Return the headers of a record that has been read."""
    found: Any = message.headers() or []
    return [(name, body or b"") for name, body in found]


class _Told(msgspec.Struct):
    """What stands behind the payload."""

    timestamp: float
    received_at_ns: int = -1
    qos: int = 0
    retain: bool = False
    dup: bool = False
    client_id: str = ""


class _Foreign(_Told, kw_only=True):
    """A record that others wrote: the same members in any order and spacing."""

    original_topic: str
    payload: msgspec.Raw


_told: Final = msgspec.json.Decoder(_Told).decode
_foreign: Final = msgspec.json.Decoder(_Foreign).decode


class Unpacker:
    """Records to messages."""

    def __init__(self) -> None:
        self._topics: dict[bytes, str] = {}
        self._last_ns = 0

    def add(self, message: Message, batch: RawBatch) -> None:
        """Append the message of a record to a batch."""
        value, headers = message.value() or b"", headers_of(message)
        try:
            topic, payload, told = self._opened(value)
            at_ns = _instant(told)
            flags, packet_id = _numbers(told, headers)
            _check_sender(topic, flags, headers)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            self._pass(value, message.timestamp()[1] * 1_000_000, batch)
            return
        self._last_ns = at_ns
        for name, body in headers:
            if name == "extra":
                batch.extras[len(batch)] = body
        batch.add(topic, payload, at_ns, flags=flags, client_id=told.client_id, packet_id=packet_id)

    def pass_over(self, batch: RawBatch) -> None:
        """Append what stands for an offset without a record: offsets of a batch are dense."""
        self._pass(b"", self._last_ns or time.time_ns(), batch)

    def _pass(self, value: bytes, at_ns: int, batch: RawBatch) -> None:
        batch.add(UNREADABLE, value, min(max(at_ns, 0), MAX_NS))

    def _opened(self, value: bytes) -> tuple[str, bytes, _Told]:
        begin, end = value.find(PAYLOAD), value.rfind(TIMESTAMP)
        topic = self._topic(value[:begin]) if 0 < begin < end else None
        if topic is not None:
            text = value[begin + len(PAYLOAD) : end]
            return topic, unpacked(text), _tail(b"{" + value[end + 2 :])
        found = _foreign(value)
        return found.original_topic, unpacked(bytes(found.payload)), found

    def _topic(self, head: bytes) -> str | None:
        """Return the topic if this is how our records begin."""
        topic = self._topics.get(head)
        if topic is None:
            told = json.loads(head + b"}")
            if told.keys() != {"original_topic", "device_id"}:
                return None
            topic = told["original_topic"]
            if type(topic) is not str:
                raise TypeError("original_topic is a string")
            if len(self._topics) >= MAX_TOPICS:
                self._topics.clear()
            self._topics[head] = topic
        return topic


def _tail(text: bytes) -> _Told:
    try:
        return _told(text)
    except msgspec.DecodeError:
        # Half of a pair in a client id: an escape that only the standard library reads.
        return msgspec.convert(json.loads(text), _Told)


def _instant(told: _Told) -> int:
    at_ns = told.received_at_ns
    if at_ns < 0:
        at_ns = round(told.timestamp * 1e9)
    if not MIN_NS <= at_ns <= MAX_NS:
        raise ValueError("the time of receipt is out of range")
    return at_ns


def _check_sender(topic: str, flags: int, headers: list[tuple[str, bytes]]) -> None:
    """Raise ValueError when a message of a device has no topic."""
    if not topic and not (flags & NOT_FROM_DEVICE and dict(headers).get("kind")):
        raise ValueError("a message of a device has a topic")


def _numbers(told: _Told, headers: list[tuple[str, bytes]]) -> tuple[int, int]:
    """Return flags and packet id."""
    flags = told.qos & QOS_MASK | (RETAIN if told.retain else 0) | (DUP if told.dup else 0)
    packet_id = 0
    for name, body in headers:
        if name == "packet_id" and body.isdigit():
            packet_id = int(body)
        elif name == "flags" and body.isdigit():
            flags = int(body)
    if packet_id > _MOST or flags > _MOST:
        raise ValueError("flags and packet ids have 16 bits")
    return flags, packet_id
