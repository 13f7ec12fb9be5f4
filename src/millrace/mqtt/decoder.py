"""Bytes to packets, incrementally.

Rules: PUBLISH is read in the loop itself, without a call per packet; all else goes through
`body`. A packet that has not come whole is kept as the pieces it came in and joined once. A
length over the limit is refused at its fixed header, before anything is kept for it (F37).

Source: MQTT 5.0, 2.1 and 3.3; MQTT 3.1.1, 3.3.
"""

# The bits and numbers are those of the standard, named in its figures, not here.
# ruff: noqa: PLR2004

from typing import Final, Literal

from millrace.mqtt.body import READERS, read_connect, read_level
from millrace.mqtt.fields import decode_text, malformed
from millrace.mqtt.properties import TOPIC_ALIAS, Properties, read_properties
from millrace.mqtt.reasons import (
    PACKET_TOO_LARGE,
    PROTOCOL_ERROR,
    TOPIC_ALIAS_INVALID,
    ProtocolError,
)
from millrace.mqtt.topics import check_topic
from millrace.mqtt.values import Connect, Packet, Publish

Role = Literal["server", "client"]

PACKET_BYTES_MAX: Final = 268_435_460
TOPICS_MAX: Final = 524_288
# Longer names are checked each time: a flood of them must not fill the memory (F41).
MEMO_TOPIC_BYTES: Final = 256

_ACCEPTED: Final[dict[Role, frozenset[int]]] = {
    "server": frozenset((1, 4, 5, 6, 7, 8, 10, 12, 14, 15)),
    "client": frozenset((2, 4, 5, 6, 7, 9, 11, 13, 14, 15)),
}
_PUBLISH: Final = 3
_AUTH: Final = 15
_DISCONNECT: Final = 14
_WITH_FLAGS: Final = (6, 8, 10)  # PUBREL, SUBSCRIBE, UNSUBSCRIBE: the reserved bits are 0010

_Flags = tuple[int, bool, bool] | None
# First byte -> (qos, retain, dup) of a valid PUBLISH.
_FLAGS: Final[tuple[_Flags, ...]] = tuple(
    (head >> 1 & 3, head & 1 == 1, head & 8 == 8)
    if head >> 4 == _PUBLISH and head & 6 != 6 and head & 14 != 8
    else None
    for head in range(256)
)
_NOT_YET: Final[tuple[_Flags, ...]] = (None,) * 256


class Decoder:
    """Cuts one connection's bytes into packets.

    `version` is 0 until a CONNECT has said it; `topics` remembers names that have been checked,
    and may be one dict for many connections. `alias_maximum` is what was announced to the peer;
    aliases are resolved here, so that `Publish.topic` is always the name.
    """

    __slots__ = (
        "_aliases",
        "_connected",
        "_error",
        "_held",
        "_limit",
        "_pieces",
        "_role",
        "_topics",
        "_wanted",
        "alias_maximum",
        "version",
    )

    def __init__(
        self,
        version: int = 0,
        *,
        role: Role = "server",
        max_packet_bytes: int = PACKET_BYTES_MAX,
        topics: dict[bytes, str] | None = None,
        alias_maximum: int = 0,
    ) -> None:
        self.version = version
        self.alias_maximum = alias_maximum
        self._role = role
        self._limit = max_packet_bytes
        self._topics = {} if topics is None else topics
        self._aliases: dict[int, str] | None = None
        self._connected = version != 0
        self._error: ProtocolError | None = None
        self._pieces: list[bytes] = []
        self._held = self._wanted = 0

    def feed(self, data: bytes) -> list[Packet]:
        """Return the packets that `data` completes.

        Raises:
            ProtocolError: The peer broke a rule. `packets` of the error came before it; the
                decoder takes nothing more.
        """
        if self._error is not None:
            raise ProtocolError(self._error.reason_code, self._error.detail)
        if self._pieces:
            data = self._join(data)
        packets: list[Packet] = []
        try:
            self._parse(data, packets)
        except IndexError:
            self._error = malformed("PUBLISH ends before its payload")
        except ProtocolError as error:
            self._error = error
        if self._error is not None:
            self._error.packets = packets
            raise self._error
        return packets

    def _join(self, data: bytes) -> bytes:
        self._pieces.append(data)
        self._held += len(data)
        if self._held < self._wanted:
            return b""
        joined = b"".join(self._pieces)
        self._pieces.clear()
        return joined

    def _keep(self, piece: bytes, wanted: int) -> None:
        self._pieces.append(piece)
        self._held = len(piece)
        self._wanted = wanted

    # The loop is one function on purpose: a call costs as much as half a packet.
    def _parse(self, data: bytes, packets: list[Packet]) -> None:  # noqa: C901, PLR0912
        pos, end, limit = 0, len(data), self._limit
        append, known = packets.append, self._topics.get
        table, v5 = (_FLAGS if self._connected else _NOT_YET), self.version == 5
        while pos < end:
            at = pos + 2
            length = data[pos + 1] if at <= end else 128
            if length > 127:
                if at < end and 0 < data[at] < 128:
                    length += (data[at] << 7) - 128
                    at += 1
                else:
                    length, at = _long_length(data, pos, end)
            stop = at + length
            if stop - pos > limit:
                raise ProtocolError(PACKET_TOO_LARGE, f"a packet of {stop - pos} bytes")
            if stop > end:
                self._keep(data[pos:], stop - pos)
                return
            flags = table[data[pos]]
            if flags is None:
                append(self._other(data, data[pos], at, stop))
                table, v5 = _FLAGS, self.version == 5
                pos = stop
                continue
            qos, retain, dup = flags
            begin = at + 2
            at = begin + (data[at] << 8 | data[at + 1])
            topic = known(data[begin:at]) or self._learn(data[begin:at])
            packet_id = 0
            if qos:
                packet_id = data[at] << 8 | data[at + 1]
                at += 2
                if not packet_id:
                    raise ProtocolError(PROTOCOL_ERROR, "packet id 0")
            properties = None
            if v5:
                if data[at] or not topic:
                    properties, at = read_properties(data, at, stop, packet_type=_PUBLISH)
                    topic = self._resolve(topic, properties)
                else:
                    at += 1
            if at > stop:
                raise malformed("PUBLISH ends before its payload")
            append(Publish(topic, data[at:stop], qos, retain, dup, packet_id, properties))
            pos = stop

    def _learn(self, raw: bytes) -> str:
        """Return the checked name of a topic that is not known yet; empty only for an alias."""
        if not raw and self.version == 5:
            return ""
        topic = decode_text(raw)
        check_topic(topic)
        if len(raw) <= MEMO_TOPIC_BYTES:
            if len(self._topics) >= TOPICS_MAX:
                self._topics.clear()
            self._topics[raw] = topic
        return topic

    def _resolve(self, topic: str, properties: Properties | None) -> str:
        """Return the name behind an alias, and remember the alias of a name."""
        alias = (properties or {}).get(TOPIC_ALIAS)
        if alias is None:
            if not topic:
                raise ProtocolError(PROTOCOL_ERROR, "PUBLISH with neither topic nor alias")
            return topic
        if alias > self.alias_maximum:
            raise ProtocolError(TOPIC_ALIAS_INVALID, f"topic alias {alias}")
        if self._aliases is None:
            self._aliases = {}
        if topic:
            self._aliases[alias] = topic
            return topic
        if alias not in self._aliases:
            raise ProtocolError(PROTOCOL_ERROR, f"topic alias {alias} stands for no topic")
        return self._aliases[alias]

    def _other(self, data: bytes, head: int, pos: int, stop: int) -> Packet:
        """Read a packet that is no PUBLISH."""
        code = head >> 4
        if self._role == "server":
            if code == Connect.code:
                return self._connect(data, head, pos, stop)
            if not self._connected:
                raise ProtocolError(PROTOCOL_ERROR, "the first packet is not CONNECT")
        _check_head(head, self._role, self.version)
        return READERS[code](data, pos, stop, self.version)

    def _connect(self, data: bytes, head: int, pos: int, stop: int) -> Connect:
        if self._connected:
            raise ProtocolError(PROTOCOL_ERROR, "a second CONNECT")
        if head & 15:
            raise malformed("CONNECT has reserved flags")
        self.version, pos = read_level(data, pos, stop)
        self._connected = True
        return read_connect(data, pos, stop, self.version)


def _check_head(head: int, role: Role, version: int) -> None:
    """Refuse a first byte that no packet has, or none in this direction."""
    code = head >> 4
    if code == _PUBLISH:
        raise malformed("PUBLISH has QoS 3, or DUP at QoS 0")
    if code not in _ACCEPTED[role] or (version == 4 and code == _AUTH):
        raise ProtocolError(PROTOCOL_ERROR, f"packet type {code} has no place here")
    if version == 4 and role == "client" and code == _DISCONNECT:
        raise ProtocolError(PROTOCOL_ERROR, "a 3.1.1 server sends no DISCONNECT")
    if head & 15 != (2 if code in _WITH_FLAGS else 0):
        raise malformed(f"packet type {code} has reserved flags")


def _long_length(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """Return (length, position behind it) for a length of any size.

    When the header has not come whole: a length that reaches one byte beyond what is there.
    """
    at = pos + 1
    length = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            if not byte and shift:
                raise malformed("the remaining length is longer than it needs to be")
            return length, at
        shift += 7
        if shift > 21:
            raise malformed("the remaining length has more than four bytes")
    return 1, end
