"""Cursors: where a list goes on, signed so that nobody can write one.

A cursor is bound to the path, the filters and the principal of its query and holds for a day. It
carries what the first page has fixed, such as the instants behind `-1h` and `now()`.
Source: API-003; attack A41.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from typing import Any

import orjson

from millrace.ports.clock import Clock
from millrace.serve.problems import Problem

VALID_NS = 24 * 3600 * 1_000_000_000
_SIGNATURE_BYTES = 16
_MAX_CHARS = 1024


class Cursors:
    """Signs and reads cursors."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def seal(self, binding: bytes, place: dict[str, Any]) -> str:
        """Return a cursor for a place in the list that `binding` names."""
        body = orjson.dumps({"at": self._clock.now_ns(), **place})
        return base64.urlsafe_b64encode(self._sign(binding, body) + body).rstrip(b"=").decode()

    def open(self, binding: bytes, cursor: str) -> dict[str, Any]:
        """Return the place that a cursor names. Raises: Problem `invalid_cursor`."""
        if len(cursor) > _MAX_CHARS or not cursor.isascii():
            raise _invalid()
        try:
            raw = base64.b64decode(
                cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
            )
        except binascii.Error:
            raise _invalid() from None
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(binding, body)):
            raise _invalid()
        place: dict[str, Any] = orjson.loads(body)
        if not 0 <= self._clock.now_ns() - place["at"] <= VALID_NS:
            raise _invalid()
        return place

    def _sign(self, binding: bytes, body: bytes) -> bytes:
        return hmac.digest(self._key, binding + body, "sha256")[:_SIGNATURE_BYTES]


def binding(path: str, principal: str, filters: Iterable[tuple[str, str]]) -> bytes:
    """Return 32 bytes that stand for a query: path, principal and filters in any order."""
    named = [path, principal, *sorted(filters)]
    return hashlib.sha256(orjson.dumps(named)).digest()


def _invalid() -> Problem:
    return Problem(
        "invalid_cursor", "The cursor is not valid for this query; begin again without it"
    )
