"""Keys with a time to live in Redis; see `ports.cache.Cache`. Source: SNS-060 to SNS-064."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from millrace.adapters.live_redis.link import Client, RedisLink
from millrace.ports.cache import Entry

T = TypeVar("T")

# So many commands share a round trip; a thousand short values take about a millisecond.
CHUNK = 1000


class RedisCache:
    """The documented keys, behind the prefix of the link (REG-115)."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._prefix = link.key_prefix

    def get(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        found: dict[str, bytes] = {}
        for chunk in _chunks(keys):
            found |= self._link.ask(partial(self._get, chunk))
        return found

    def put(self, entries: Sequence[Entry]) -> None:
        for chunk in _chunks(entries):
            self._link.ask(partial(self._put, chunk))

    def delete(self, keys: Sequence[str]) -> None:
        for chunk in _chunks(keys):
            self._link.ask(partial(self._delete, chunk))

    def clear(self, beginnings: Sequence[str]) -> None:
        for beginning in beginnings:
            pattern, at = _literal(self._prefix + beginning) + "*", b"0"
            while True:
                at, found = self._link.ask(partial(_scan, pattern, at))
                if found:
                    self._link.ask(partial(_unlink, found))
                if at == b"0":
                    break

    def close(self) -> None:
        self._link.close()

    def _get(self, keys: Sequence[str], client: Client) -> dict[str, bytes]:
        values = client.execute_command("MGET", *(self._prefix + key for key in keys))
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}

    def _put(self, entries: Sequence[Entry], client: Client) -> None:
        with client.pipeline(transaction=False) as pipe:
            for key, value, ttl_s in entries:
                lasts_ms = max(1, round(ttl_s * 1000))
                pipe.execute_command("SET", self._prefix + key, value, "PX", lasts_ms)
            pipe.execute()

    def _delete(self, keys: Sequence[str], client: Client) -> None:
        client.execute_command("UNLINK", *(self._prefix + key for key in keys))


def _scan(pattern: str, at: bytes, client: Client) -> tuple[bytes, list[bytes]]:
    """Return where to go on (`0` is the end), and keys that match."""
    at, found = client.execute_command("SCAN", at, "MATCH", pattern, "COUNT", CHUNK)
    return b"%d" % int(at), found


def _unlink(keys: Sequence[bytes], client: Client) -> None:
    client.execute_command("UNLINK", *keys)


def _literal(text: str) -> str:
    """Return a pattern of Redis that only this text matches."""
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", text)


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), CHUNK):
        yield items[at : at + CHUNK]
