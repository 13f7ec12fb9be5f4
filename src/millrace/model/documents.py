"""JSON documents as devices send them, read strictly and without surprises.

RFC 8259 with a leading byte-order mark skipped, nesting up to 32, the last of equal keys. Numbers
too large for a double become infinities and the caller judges them. A lone surrogate escape
becomes U+FFFD, because no store holds it.
Source: F2-020, F2-024.
"""

import json
from typing import Any, Final, NoReturn

import msgspec

from millrace.errors import RejectError

MAX_NESTING: Final = 32

_BOM: Final = "\ufeff"
_INT_DIGITS: Final = 400
_decode = msgspec.json.Decoder().decode


def read_text(payload: bytes) -> str:
    """Return the text of a payload without a leading byte-order mark.

    Raises:
        RejectError: `not_utf8`.
    """
    try:
        return payload.decode().removeprefix(_BOM)
    except UnicodeDecodeError:
        raise RejectError("not_utf8", "the payload is not UTF-8") from None


def read_json(payload: bytes) -> Any:
    """Return the JSON value of a payload.

    Raises:
        RejectError: `not_utf8` or `bad_json`; also for nesting deeper than 32.
    """
    try:
        value = _decode(payload)
    except (ValueError, RecursionError):
        value = _read_slowly(read_text(payload))
    if payload.count(b"[") + payload.count(b"{") > MAX_NESTING and _is_too_deep(value):
        raise RejectError("bad_json", f"nested deeper than {MAX_NESTING}")
    return value


def _read_slowly(text: str) -> Any:
    try:
        value = json.loads(text, parse_int=_whole, parse_constant=_refuse)
    except ValueError as problem:
        at = problem.pos if isinstance(problem, json.JSONDecodeError) else 0
        raise RejectError("bad_json", f"no JSON at character {at}") from None
    except RecursionError:
        raise RejectError("bad_json", f"nested deeper than {MAX_NESTING}") from None
    if "\\u" in text and not _is_too_deep(value):
        return _mend(value)
    return value


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < _INT_DIGITS else float(digits)


def _refuse(token: str) -> NoReturn:
    raise ValueError(token)


def _is_too_deep(value: Any) -> bool:
    level: list[Any] = [[value]]
    for _ in range(MAX_NESTING + 1):
        level = [
            item.values() if type(item) is dict else item
            for container in level
            for item in container
            if type(item) is dict or type(item) is list
        ]
        if not level:
            return False
    return True


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
