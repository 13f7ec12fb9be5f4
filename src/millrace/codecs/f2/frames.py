"""Frames of RS-485 instruments: from text to bytes, and their checksum.

Source: F2-090, F2-097.
"""

import re
from typing import Final

from millrace.codecs.f2.literals import literal_bytes
from millrace.errors import RejectError
from millrace.model.instants import BLANKS

MAX_FRAME_BYTES: Final = 1024

_CRC_BYTES: Final = 2
_SHORTEST_WITH_CRC: Final = 4
_PAIRS = re.compile(r"[ \t:-]*(?:[0-9a-fA-F]{2})+(?:[ \t:-]+(?:[0-9a-fA-F]{2})+)*[ \t:-]*")
_SEPARATORS = str.maketrans("", "", " \t:-")


def read_frame(data: object) -> bytes:
    """Return the frame that the field `data` holds.

    Raises:
        RejectError: `bad_value`, it is no text; `bad_hex`, the text is no frame.
    """
    if type(data) is not str:
        raise RejectError("bad_value", "data is no text")
    content = literal_bytes(data)
    frame = _pairs(data if content is None else content.decode("latin-1"))
    if frame is None:
        frame = content
    if not frame or len(frame) > MAX_FRAME_BYTES:
        raise RejectError("bad_hex", "data is no frame of 1 to 1024 bytes in hex")
    return frame


def is_crc_good(frame: bytes) -> bool:
    """Return whether the last two bytes are the Modbus CRC of the others, low byte first."""
    if len(frame) < _SHORTEST_WITH_CRC:
        return False
    return modbus_crc(frame[:-_CRC_BYTES]) == int.from_bytes(frame[-_CRC_BYTES:], "little")


def modbus_crc(content: bytes) -> int:
    """Return CRC-16 with start FFFF and the reflected polynomial A001."""
    crc = 0xFFFF
    for byte in content:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def _pairs(text: str) -> bytes | None:
    text = text.strip(BLANKS)
    if _PAIRS.fullmatch(text) is None:
        return None
    return bytes.fromhex(text.translate(_SEPARATORS))


def _crc_entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_CRC_TABLE: Final = tuple(_crc_entry(byte) for byte in range(256))
