"""A place of tables as one URL: `postgresql://user@host/database?schema=name`.

`schema` is ours and is taken out before the client library sees the rest. It is set in each
transaction, because a pooler between us and the server keeps nothing that lasts longer.
Source: REG-004.
"""

from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from millrace.errors import UsageError
from millrace.observe.urls import shown

PUBLIC: Final = "public"


def place_url(url: str, *, password: str | None = None, schema: str = PUBLIC) -> str:
    """Return a URL with the password that a file gave, and the schema of the tables.

    Raises:
        UsageError: It is no URL of a database, or has a password beside that of the file.
    """
    parts = urlsplit(_checked(url))
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if schema != PUBLIC:
        query["schema"] = schema
    place = parts._replace(query=urlencode(query, quote_via=quote))
    if password is None:
        return urlunsplit(place)
    if parts.password is not None:
        raise UsageError(
            "store.url has a password, and store.password_file another", "leave one of them out"
        )
    user, at, address = parts.netloc.rpartition("@")
    if not at:
        raise UsageError(
            "store.password_file is given, and store.url names no user",
            "write postgresql://USER@HOST/DATABASE",
        )
    return urlunsplit(place._replace(netloc=f"{user}:{quote(password, safe='')}@{address}"))


def conninfo_of(url: str) -> tuple[str, str]:
    """Return what the client library connects to, and the schema of the tables."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema = query.pop("schema", PUBLIC)
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote))), schema


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname and parts.path.strip("/")) and parts.port != 0
    except ValueError:
        # What Python says of a wrong port may be a part of a password.
        raise UsageError("store.url is no URL", _FORM) from None
    if not is_whole:
        raise UsageError(f"store.url: {shown(url)} names no host and database", _FORM)
    return url


_FORM: Final = "write postgresql://USER@HOST:PORT/DATABASE"
