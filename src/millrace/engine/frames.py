"""Byte frames: a batch of messages as columns, compressed as a whole, guarded by one checksum.

Layout, little endian::

    PREFIX  magic "MRFR", version u8, codec u8, partition u16, crc32 u32
    HEADER  first offset u64, count u32, size of the plain body u32
    BODY    the columns, one lz4 block, or plain where that would not be smaller

The checksum covers everything but itself, so a frame that was stored at another place than its own
is noticed too. A later version may change all but the prefix. The body of version 1:

    SIZES   shape u8, topics u32, clients u32, extras u32
    times   first instant i64, then the differences as i32 (or every instant as i64)
    flags   u16 each        packet ids   u16 each
    topics  size u32, lengths u32 and text of the unique ones, then an index u8/u16/u32 each (none
            when all are one, or each is its own); clients alike
    payload lengths u32 each, payloads
    extras  indexes u32, lengths u32, bytes

Rules: bytes and plain columns only, nothing of devices; no state; a whole column at a time.
Source: P2, F9, D-16.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from operator import sub
from struct import Struct
from typing import NamedTuple

import lz4.block

from millrace.errors import StopError

MAGIC = b"MRFR"
VERSION = 1
PLAIN, LZ4 = 0, 1
MAX_BODY_BYTES = 1 << 29

_PREFIX = Struct("<4sBBHI")
_HEADER = Struct("<QII")
_SIZES = Struct("<BIII")
_INSTANT = Struct("<q")
_BODY_AT = _PREFIX.size + _HEADER.size
_WORTH_COMPRESSING = 96
_NEAR, _FAR = 0, 1  # shape: how the instants are written


def plain_size_bytes(frame: bytes) -> int:
    """Return how large the body of a frame is when it is opened; its header is taken at its word.

    Shape: 0 for what is too short to be a frame.
    """
    return _HEADER.unpack_from(frame, _PREFIX.size)[2] if len(frame) >= _BODY_AT else 0


class CorruptFrameError(StopError):
    """The bytes are not those that were sealed."""


class Columns(NamedTuple):
    """The columns of one batch. Shape: one entry per message, except `extras` (by index).

    Units: UTC nanoseconds; `flags` and `packet_ids` fit in 16 bits.
    """

    topics: Sequence[str]
    payloads: Sequence[bytes]
    received_at_ns: Sequence[int]
    flags: Sequence[int]
    client_ids: Sequence[str]
    packet_ids: Sequence[int]
    extras: Mapping[int, bytes]


class Place(NamedTuple):
    """Where a frame belongs, and how many messages it holds."""

    partition: int
    first_offset: int
    messages: int


def seal(columns: Columns, *, partition: int, first_offset: int) -> bytes:
    """Return the frame of a batch.

    Shape: all columns are equally long and not empty.
    Raises:
        ValueError: The columns differ in length, the batch is empty or over 512 MiB, or a number
            does not fit its column.
    """
    count = len(columns.topics)
    if not count or any(len(column) != count for column in columns[:6]):
        raise ValueError("the columns of a frame must be equally long and not empty")
    try:
        body = _pack(columns, count)
    except struct.error as error:
        raise ValueError(f"a number does not fit its column: {error}") from error
    plain_size = len(body)
    if plain_size > MAX_BODY_BYTES:
        raise ValueError(f"a frame may hold {MAX_BODY_BYTES} bytes, not {plain_size}")
    codec = PLAIN
    if plain_size >= _WORTH_COMPRESSING:
        packed = lz4.block.compress(body, store_size=False)
        if len(packed) < plain_size:
            codec, body = LZ4, packed
    header = _HEADER.pack(first_offset, count, plain_size)
    crc = _checksum(codec, partition, header, body, version=VERSION)
    return b"".join((_PREFIX.pack(MAGIC, VERSION, codec, partition, crc), header, body))


def unseal(frame: bytes) -> tuple[Place, Columns]:
    """Return the place and the columns of a frame; the inverse of `seal`.

    Raises:
        CorruptFrameError: The bytes are damaged.
        StopError: The frame is whole but of a version that is not known here.
    """
    where, codec, plain_size = _verified(frame)
    try:
        return where, _unpack(_plain(frame[_BODY_AT:], codec, plain_size), where.messages)
    except (ValueError, IndexError, struct.error, lz4.block.LZ4BlockError) as error:
        raise CorruptFrameError(f"the frame does not hold what its header says: {error}") from error


def _checksum(
    codec: int, partition: int, header: bytes, body: bytes | memoryview, *, version: int
) -> int:
    head = _PREFIX.pack(MAGIC, version, codec, partition, 0)
    return zlib.crc32(body, zlib.crc32(header, zlib.crc32(head)))


def _verified(frame: bytes) -> tuple[Place, int, int]:
    if len(frame) < _BODY_AT or frame[:4] != MAGIC:
        raise CorruptFrameError("this is not a frame")
    _, version, codec, partition, crc = _PREFIX.unpack_from(frame)
    header, body = frame[_PREFIX.size : _BODY_AT], memoryview(frame)[_BODY_AT:]
    if _checksum(codec, partition, header, body, version=version) != crc:
        raise CorruptFrameError("the checksum of the frame does not match its bytes")
    if version != VERSION:
        raise StopError(
            f"frame version {version} is not known, only {VERSION}",
            "use the release that wrote this log, or a later one",
        )
    first_offset, count, plain_size = _HEADER.unpack(header)
    return Place(partition, first_offset, count), codec, plain_size


def _plain(body: bytes, codec: int, plain_size: int) -> bytes:
    if codec == LZ4 and plain_size <= MAX_BODY_BYTES:
        body = lz4.block.decompress(body, uncompressed_size=plain_size)
    if len(body) != plain_size:
        raise ValueError("the body is not as long as it should be")
    return body


def _pack(columns: Columns, count: int) -> bytes:
    topics, topic_index = _unique(columns.topics)
    clients, client_index = _unique(columns.client_ids)
    shape, times = _pack_times(columns.received_at_ns)
    payloads, extras = columns.payloads, columns.extras
    parts = [
        _SIZES.pack(shape, len(topics), len(clients), len(extras)),
        times,
        struct.pack(f"<{count}H", *columns.flags),
        struct.pack(f"<{count}H", *columns.packet_ids),
        *_pack_text(topics),
        topic_index,
        *_pack_text(clients),
        client_index,
        struct.pack(f"<{count}I", *map(len, payloads)),
        *payloads,
    ]
    if extras:
        sizes = map(len, extras.values())
        parts.append(struct.pack(f"<{2 * len(extras)}I", *extras, *sizes))
        parts.extend(extras.values())
    return b"".join(parts)


def _unpack(body: bytes, count: int) -> Columns:
    shape, topics, clients, extra_count = _SIZES.unpack_from(body)
    cursor = _Cursor(body, _SIZES.size)
    times = _unpack_times(cursor, shape, count)
    flags = list(cursor.numbers("H", count))
    packet_ids = list(cursor.numbers("H", count))
    topic_column = _unpack_text(cursor, topics, count)
    client_column = _unpack_text(cursor, clients, count)
    payloads = cursor.slices(cursor.numbers("I", count))
    extras: dict[int, bytes] = {}
    if extra_count:
        indexes = cursor.numbers("I", extra_count)
        extras = dict(zip(indexes, cursor.slices(cursor.numbers("I", extra_count)), strict=True))
    if cursor.at != len(body):
        raise ValueError("bytes are left over")
    return Columns(topic_column, payloads, times, flags, client_column, packet_ids, extras)


def _pack_times(times: Sequence[int]) -> tuple[int, bytes]:
    try:
        steps = struct.pack(f"<{len(times) - 1}i", *map(sub, times[1:], times))
    except struct.error:
        return _FAR, struct.pack(f"<{len(times)}q", *times)
    return _NEAR, _INSTANT.pack(times[0]) + steps


def _unpack_times(cursor: "_Cursor", shape: int, count: int) -> list[int]:
    if shape == _FAR:
        return list(cursor.numbers("q", count))
    (first,) = cursor.numbers("q", 1)
    return list(accumulate(cursor.numbers("i", count - 1), initial=first))


def _unique(texts: Sequence[str]) -> tuple[list[str], bytes]:
    """Return the different texts in order of appearance, and which of them each message has."""
    unique = list(dict.fromkeys(texts))
    if len(unique) in {1, len(texts)}:
        return unique, b""
    index = dict(zip(unique, range(len(unique)), strict=True))
    code = _index_code(len(unique))
    return unique, struct.pack(f"<{len(texts)}{code}", *map(index.__getitem__, texts))


def _index_code(unique: int) -> str:
    return "B" if unique <= 1 << 8 else "H" if unique <= 1 << 16 else "I"


def _pack_text(unique: list[str]) -> tuple[bytes, bytes]:
    # "surrogatepass": a text that is no valid Unicode must come back as it was, not end the process
    text = "".join(unique).encode("utf-8", "surrogatepass")
    return struct.pack(f"<{1 + len(unique)}I", len(text), *map(len, unique)), text


def _unpack_text(cursor: "_Cursor", unique: int, count: int) -> list[str]:
    (size,) = cursor.numbers("I", 1)
    ends = accumulate(cursor.numbers("I", unique), initial=0)
    text = cursor.take(size).decode("utf-8", "surrogatepass")
    texts = [text[start:end] for start, end in pairwise(ends)]
    if unique == count:
        return texts
    if unique == 1:
        return texts * count
    return list(map(texts.__getitem__, cursor.numbers(_index_code(unique), count)))


class _Cursor:
    """A place in the body, moving on."""

    __slots__ = ("at", "body")

    def __init__(self, body: bytes, at: int) -> None:
        self.body = body
        self.at = at

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        end = self.at + size
        if end > len(self.body):
            raise ValueError("the body is too short")
        part = self.body[self.at : end]
        self.at = end
        return part

    def numbers(self, code: str, count: int) -> tuple[int, ...]:
        """Return the next numbers."""
        layout = f"<{count}{code}"
        numbers = struct.unpack_from(layout, self.body, self.at)
        self.at += struct.calcsize(layout)
        return numbers

    def slices(self, sizes: Iterable[int]) -> list[bytes]:
        """Return the next byte strings, by their sizes."""
        ends = list(accumulate(sizes, initial=self.at))
        body = self.body
        self.at = ends[-1]
        if self.at > len(body):
            raise ValueError("the body is too short")
        return [body[start:end] for start, end in pairwise(ends)]
