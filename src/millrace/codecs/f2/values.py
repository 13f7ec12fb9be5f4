"""Values of fields: truth, texts, hexadecimal integers, and whatever JSON may hold.

Source: F2-042, F2-053 to F2-055, F2-070, F2-084.
"""

import json
import re
from collections.abc import Callable
from fractions import Fraction
from math import isfinite
from typing import Final, NamedTuple

from millrace.codecs.f2.findings import Findings, Found, Kind, check_key
from millrace.codecs.f2.frames import read_frame
from millrace.codecs.f2.literals import hex_text, unwrap
from millrace.codecs.f2.points import natural_reader
from millrace.errors import RejectError
from millrace.model.instants import BLANKS
from millrace.model.numbers import to_double
from millrace.model.quality import UNMAPPED

Name = Callable[[str], tuple[str, str]]

_STX: Final = 0x02
_ETX: Final = 0x03
_SHORTEST_REPLY: Final = 3
_HEX = re.compile(r"(?:0[xX])?([0-9a-fA-F]{1,16})")
_TRUE: Final = "1 true on yes open opened unlocked active pressed detected alarm"
_FALSE: Final = "0 false off no closed locked inactive released clear idle normal"
_WORDS: Final = dict.fromkeys(_TRUE.split(), True) | dict.fromkeys(_FALSE.split(), False)


class Text(NamedTuple):
    """A text value; `reply` marks the answer of a reader to an indicator command."""

    text: str
    raw: str | None
    is_reply: bool = False


def read_truth(value: object) -> bool:
    """Return a truth value.

    Raises:
        RejectError: `bad_value`; `not_finite` for a number that is none as a double.
    Source: F2-055.
    """
    if value is True or value is False:
        return value
    if type(value) is str:
        word = _WORDS.get(value.strip(BLANKS).lower())
        if word is not None:
            return word
    elif type(value) is int or type(value) is float:
        number = to_double(value)
        if number in (0.0, 1.0):
            return number == 1.0
    raise RejectError("bad_value", "neither true nor false")


def read_text(value: object) -> Text:
    """Return a raw string; any JSON value but a text as its compact JSON text.

    Raises:
        RejectError: `bad_value`, it is empty; `not_finite`.
    Source: F2-023, F2-053, F2-054.
    """
    if type(value) is not str:
        try:
            text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        except ValueError:
            raise RejectError("not_finite", "a number is not finite as a double") from None
        return Text(text, None)
    text, content, raw = unwrap(value)
    if not text:
        raise RejectError("bad_value", "the text is empty")
    if content and len(content) >= _SHORTEST_REPLY and content[0] == _STX and content[-1] == _ETX:
        return Text(text, raw, is_reply=True)
    return Text(text, raw)


def reply_text(raw: str) -> str:
    """Return the bytes of a bytes literal as hex."""
    return hex_text(unwrap(raw).content or b"")


def read_hex(value: object, scale: Fraction) -> float:
    """Return a hexadecimal integer times a factor, rounded once.

    Raises:
        RejectError: `bad_hex`, or `not_finite` when the product is too large.
    Source: F2-084.
    """
    digits = _HEX.fullmatch(unwrap(value).text.strip(BLANKS)) if type(value) is str else None
    if digits is None:
        raise RejectError("bad_hex", "no hexadecimal integer of 1 to 16 digits")
    return _product(int(digits[1], 16), scale)


def compile_number(encoding: str, scale: float) -> Callable[[object], float]:
    """Return the reader for the main field of a simple row with a numeric encoding.

    Raises:
        RejectError: `bad_encoding`.
    Source: F2-084.
    """
    if not isfinite(scale):
        raise RejectError("bad_encoding", "the scaling factor is not finite")
    factor = Fraction(repr(scale))
    if encoding == "hex_to_float":
        return lambda value: read_hex(value, factor)
    reader = natural_reader(encoding)

    def read(value: object) -> float:
        number = reader.read(read_frame(value))
        return _product(Fraction(number), factor)

    return read


def _product(number: int | Fraction, factor: Fraction) -> float:
    try:
        return float(number * factor)
    except OverflowError:
        raise RejectError("not_finite", "the product is not finite as a double") from None


def add_any(value: object, path: str, name: Name, findings: Findings) -> None:
    """Add whatever a JSON value holds, by the generic rule; `name` gives metric and channel.

    Source: F2-070, F2-071.
    """
    try:
        if value is None:
            return
        if type(value) is dict:
            for key, item in value.items():
                _add_member(key, item, path, name, findings)
        elif type(value) is list:
            for index, item in enumerate(value):
                add_any(item, f"{path}.{index}" if path else str(index), name, findings)
        else:
            findings.add(_leaf(value, path, name))
    except RejectError as problem:
        findings.reject(path, problem)


def _add_member(key: str, item: object, path: str, name: Name, findings: Findings) -> None:
    below = f"{path}.{key}" if path else key
    try:
        check_key(key)
    except RejectError as problem:
        findings.reject(below, problem)
    else:
        add_any(item, below, name, findings)


def _leaf(value: object, path: str, name: Name) -> Found:
    metric, channel = name(path)
    if value is True or value is False:
        return Found(Kind.TRUTH, value, metric, channel, "", path, path, UNMAPPED)
    if type(value) is str:
        text, raw, _ = read_text(value)
        return Found(Kind.TEXT, text, metric, channel, "text", path, path, UNMAPPED, raw=raw)
    number = to_double(value)  # type: ignore[arg-type]
    return Found(Kind.NUMBER, number, metric, channel, "", path, path, UNMAPPED)
