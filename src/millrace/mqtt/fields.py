"""The kinds of field that packets are made of: integers, lengths, texts, binary data.

Readers take (data, position, end) and return (value, next position); `end` is where the packet
ends, so a field that lies about its length is found out before it is read (A8).

Source: MQTT 5.0, 1.5.
"""

# The bits and numbers are those of the standard, named in its figures, not here.
# ruff: noqa: PLR2004

import re
from typing import Final

from millrace.mqtt.reasons import MALFORMED_PACKET, ProtocolError

VARINT_MAX: Final = 268_435_455
TEXT_MAX: Final = 65_535

# Surrogates never get this far: Python's decoder refuses them.
_FORBIDDEN: Final = re.compile(
    "[\\0\ufdd0-\ufdef"
    + "".join(chr(p << 16 | e) for p in range(17) for e in (0xFFFE, 0xFFFF))
    + "]"
)


def malformed(message: str) -> ProtocolError:
    """Return the error for bytes that do not follow the grammar."""
    return ProtocolError(MALFORMED_PACKET, message)


def read_u16(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """Read a two-byte integer."""
    if pos + 2 > end:
        raise malformed("the packet ends inside an integer")
    return data[pos] << 8 | data[pos + 1], pos + 2


def read_varint(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """Read a variable byte integer of one to four bytes, in its shortest form."""
    value = shift = 0
    start = pos
    while pos < end:
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and pos - start > 1:
                raise malformed("a variable byte integer is longer than it needs to be")
            return value, pos
        shift += 7
        if shift > 21:
            raise malformed("a variable byte integer has more than four bytes")
    raise malformed("the packet ends inside a variable byte integer")


def read_binary(data: bytes, pos: int, end: int) -> tuple[bytes, int]:
    """Read binary data with a two-byte length."""
    length, pos = read_u16(data, pos, end)
    stop = pos + length
    if stop > end:
        raise malformed("a length reaches beyond the end of the packet")
    return data[pos:stop], stop


def read_text(data: bytes, pos: int, end: int) -> tuple[str, int]:
    """Read a UTF-8 string with a two-byte length."""
    raw, pos = read_binary(data, pos, end)
    return decode_text(raw), pos


def decode_text(raw: bytes) -> str:
    """Return the text of a UTF-8 string.

    Raises:
        ProtocolError: It is not UTF-8, or holds NUL or a non-character.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise malformed("a string is not UTF-8") from None
    if _FORBIDDEN.search(text):
        raise malformed("a string holds NUL or a non-character")
    return text


def encode_varint(value: int) -> bytes:
    """Return a variable byte integer."""
    if value < 0x80:
        return bytes((value,))
    if value > VARINT_MAX:
        raise ValueError(f"{value} is more than a variable byte integer can hold")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_binary(raw: bytes) -> bytes:
    """Return binary data with its length in front."""
    if len(raw) > TEXT_MAX:
        raise ValueError(f"{len(raw)} bytes are more than a field of MQTT can hold")
    return len(raw).to_bytes(2, "big") + raw


def encode_text(text: str) -> bytes:
    """Return a UTF-8 string with its length in front."""
    if _FORBIDDEN.search(text):
        raise ValueError("a string may hold neither NUL nor a non-character")
    return encode_binary(text.encode())
