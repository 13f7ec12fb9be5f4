"""Names of objects: ids and instants as text that is safe in a path, and back.

Ids are percent-encoded per byte outside `A-Z a-z 0-9 _ - .`; an id of dots only is encoded
completely, so no part of a key is ever `.` or `..`. `=` is outside, too: no id can be mistaken for
the folders `manifest=` and `category=`.
Source: MTR-130 to MTR-133.
"""

from datetime import UTC, datetime, timedelta
from urllib.parse import unquote_to_bytes

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")
_STAMP = "%Y-%m-%dT%H-%M-%S.%f"
_SHORT_STAMP = "%Y%m%dT%H%M%S%fZ"
_SECOND_NS = 1_000_000_000


def encode_id(text: str) -> str:
    """Return an id as one part of a key."""
    raw = text.encode("utf-8", "surrogatepass")
    if not raw.strip(b"."):
        return "".join(f"%{byte:02X}" for byte in raw)
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw)


def decode_id(text: str) -> str:
    """Return the id that a part of a key stands for."""
    return unquote_to_bytes(text).decode("utf-8", "surrogatepass")


def stamp(time_ns: int) -> str:
    """Return an instant as YYYY-MM-DDTHH-MM-SS.ffffff."""
    return _at(time_ns).strftime(_STAMP)


def stamp_ns(text: str) -> int:
    """Return the instant of a stamp. Raises: ValueError."""
    return _ns(datetime.strptime(text, _STAMP).replace(tzinfo=UTC))


def short_stamp(time_ns: int) -> str:
    """Return an instant as YYYYMMDDTHHMMSSffffffZ."""
    return _at(time_ns).strftime(_SHORT_STAMP)


def short_stamp_ns(text: str) -> int:
    """Return the instant of a short stamp. Raises: ValueError."""
    return _ns(datetime.strptime(text, _SHORT_STAMP).replace(tzinfo=UTC))


def date_and_hour(time_ns: int) -> tuple[str, str]:
    """Return the UTC date (YYYY-MM-DD) and hour (HH) of an instant."""
    at = _at(time_ns)
    return at.strftime("%Y-%m-%d"), at.strftime("%H")


def rfc3339(time_ns: int) -> str:
    """Return an instant with the shortest of 0, 3, 6 or 9 fraction digits."""
    seconds, fraction = divmod(time_ns, _SECOND_NS)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def rfc3339_ns(text: str) -> int:
    """Return the instant of what `rfc3339` wrote. Raises: ValueError."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = _ns(datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC))
    return seconds + int(fraction.ljust(9, "0") or 0)


def _at(time_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def _ns(at: datetime) -> int:
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * _SECOND_NS + since.microseconds * 1000
