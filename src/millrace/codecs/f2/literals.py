"""Bytes literals: what a controller written in Python prints when it means bytes.

Source: F2-023.
"""

import re
from typing import Final, NamedTuple

_LITERAL = re.compile(
    r"[bB](?:"
    r"'(?:[\x01-\x09\x0b\x0c\x0e-&(-\[\]-\x7f]|\\(?:x[0-9a-fA-F]{2}|\r\n|[\x01-wy-\x7f]))*'|"
    r'"(?:[\x01-\x09\x0b\x0c\x0e-!#-\[\]-\x7f]|\\(?:x[0-9a-fA-F]{2}|\r\n|[\x01-wy-\x7f]))*"'
    r")"
)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|(\r\n|[^x0-7]))", re.DOTALL)
_SINGLE: Final = {
    b"\n": b"",
    b"\r": b"",
    b"\r\n": b"",
    b"\\": b"\\",
    b"'": b"'",
    b'"': b'"',
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}


class Unwrapped(NamedTuple):
    """A text with its bytes literal taken off; `raw` is the original, None when it was none."""

    text: str
    content: bytes | None
    raw: str | None


def literal_bytes(text: str) -> bytes | None:
    """Return the bytes that a valid bytes literal stands for, None for any other text."""
    if text[:1] not in ("b", "B") or _LITERAL.fullmatch(text) is None:
        return None
    return _ESCAPE.sub(_unescape, text[2:-1].encode())


def unwrap(text: str) -> Unwrapped:
    """Return the text inside a bytes literal; bytes that are no text are shown as hex."""
    content = literal_bytes(text)
    if content is None:
        return Unwrapped(text, None, None)
    if 0 not in content:
        try:
            return Unwrapped(content.decode(), content, text)
        except UnicodeDecodeError:
            pass
    return Unwrapped(hex_text(content), content, text)


def hex_text(content: bytes) -> str:
    """Return upper-case hex, the bytes separated by blanks."""
    return content.hex(" ").upper()


def _unescape(escape: re.Match[bytes]) -> bytes:
    if escape[1] is not None:
        return bytes.fromhex(escape[1].decode())
    if escape[2] is not None:
        return bytes((int(escape[2], 8) & 0xFF,))
    return _SINGLE.get(escape[3], escape[0])
