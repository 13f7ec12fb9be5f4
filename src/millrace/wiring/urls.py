"""The six URLs: a scheme and the rest.

Three slashes lead to a relative path, four to an absolute one.

Source: architecture.md 3.
"""

from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from millrace.errors import UsageError
from millrace.observe.urls import shown

_ADDRESS: Final = "write it like 127.0.0.1:8080"
_SECRETS: Final = {"password", "sslpassword", "token", "secret"}


class Address(NamedTuple):
    """Host and port of a listener."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def scheme_of(url: str) -> str:
    """Return the scheme of a URL, lower case."""
    return url.partition("://")[0].lower()


def path_of(url: str) -> Path:
    """Return the path of a URL such as `sqlite:///data/log`.

    Raises:
        UsageError: There is a host where none can be, or no path.
    """
    rest = url.partition("://")[2]
    if not rest.startswith("/") or len(rest) == 1:
        raise UsageError(
            f"{shown(url)} names no path",
            f"write {scheme_of(url)}:///relative or //// for an absolute one",
        )
    return Path(rest[1:])


def address_of(text: str, *, setting: str, default_port: int | None = None) -> Address:
    """Return HOST:PORT, with or without a scheme in front.

    Raises:
        UsageError: It is not of that form.
    """
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        port = default_port if parts.port is None else parts.port
    except ValueError:
        # What Python says of a wrong port may be a part of a password.
        raise UsageError(f"{setting}: {shown(text)} is not HOST:PORT", _ADDRESS) from None
    if not parts.hostname or port is None:
        raise UsageError(f"{setting}: {shown(text)} is not HOST:PORT", _ADDRESS)
    return Address(parts.hostname, port)


def known(setting: str, url: str, *schemes: str) -> str:
    """Return the scheme of a URL if it is one of `schemes`.

    Raises:
        UsageError: It is not.
    """
    scheme = scheme_of(url)
    if scheme not in schemes:
        raise UsageError(
            f"{setting}: {shown(url)} has a scheme that this release does not know",
            f"use one of: {', '.join(f'{name}://' for name in schemes)}",
        )
    return scheme


def without_secret(setting: str, url: str, remedy: str) -> str:
    """Return a URL that holds no password and no token.

    Raises:
        UsageError: It holds one; `remedy` says where it belongs.
    """
    if shown(url) == url and not _has_secret(url):
        return url
    raise UsageError(f"{setting} holds a password or a token", remedy)


def _has_secret(url: str) -> bool:
    query = url.partition("?")[2].partition("#")[0]
    names = {name.lower() for name, _ in parse_qsl(query, keep_blank_values=True)}
    return not _SECRETS.isdisjoint(names)
