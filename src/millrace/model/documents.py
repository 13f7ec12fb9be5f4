"""JSON as devices send it, read in one way for all families, strictly and without surprises.

RFC 8259 with a leading byte-order mark skipped, nesting up to 32, the last of equal keys. Numbers
too large for a double become infinities and the caller judges them. A lone surrogate escape
becomes U+FFFD, because no store holds it. The usual document is read by msgspec; what it refuses is
read again by the exact reader, so the fast way decides nothing but the speed.
Source: F2-020, F2-024, MTR-020.
"""

import json
import re
from typing import Any, Final, NoReturn

import msgspec

from millrace.errors import RejectError

MAX_NESTING: Final = 32

_BOM: Final = "\ufeff"
_MAX_DIGITS: Final = 400  # no double is that long; and Python limits how many digits it converts
# Possessive, and satisfied by the end of the text: linear on any bytes.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_decode = msgspec.json.Decoder().decode


def read_text(payload: bytes) -> str:
    """Return the text of a payload without a leading byte-order mark.

    Raises:
        RejectError: `not_utf8`.
    """
    try:
        return payload.decode().removeprefix(_BOM)
    except UnicodeDecodeError as error:
        raise RejectError("not_utf8", f"byte {error.start} is not UTF-8") from None


def read_json(payload: bytes, *, has_tokens: bool = False) -> Any:
    """Return the JSON value of a payload; with `has_tokens` also `NaN` and `Infinity` are numbers.

    Raises:
        RejectError: `not_utf8` or `bad_json`; also for nesting deeper than 32.
    """
    try:
        value = _decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return read_exactly(payload, has_tokens=has_tokens)
    if payload.count(b"[") + payload.count(b"{") > MAX_NESTING and _is_deep(payload):
        raise _too_deep()
    return value


def read_exactly(payload: bytes, *, has_tokens: bool = False) -> Any:
    """Return what `read_json` returns, without the help of the fast reader."""
    text = read_text(payload)
    if _is_deep(payload):
        raise _too_deep()
    refuse = None if has_tokens else _refuse
    try:
        value = json.loads(text, parse_int=_whole, parse_constant=refuse)
    except ValueError as problem:
        at = problem.pos if isinstance(problem, json.JSONDecodeError) else 0
        raise RejectError("bad_json", f"no JSON at character {at}") from None
    except RecursionError:
        raise _too_deep() from None
    return _mend(value) if "\\u" in text else value


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < _MAX_DIGITS else float(digits)


def _refuse(token: str) -> NoReturn:
    raise ValueError(token)


def _is_deep(payload: bytes) -> bool:
    """Say whether valid JSON nests deeper than 32; each round removes the innermost level."""
    brackets = _STRING.sub(b"", payload).translate(_BRACKETS, _NOT_BRACKETS)
    for _ in range(MAX_NESTING):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _too_deep() -> RejectError:
    return RejectError("bad_json", f"nested deeper than {MAX_NESTING}, or unbalanced")


def _mend(value: Any) -> Any:
    if type(value) is str:
        if value.isascii():
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if type(value) is list:
        return [_mend(item) for item in value]
    if type(value) is dict:
        return {_mend(key): _mend(item) for key, item in value.items()}
    return value
