"""News of the registry by Redis pub/sub; see `ports.cache.News`. Source: REG-117."""

from contextlib import suppress
from typing import Any

import redis

from millrace.adapters.live_redis.link import Client, RedisLink

CHANNEL = "millrace:registry"


class RedisBulletin:
    """One channel, on which everybody tells and listens."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._channel = link.key_prefix + CHANNEL
        self._ear: Any = None

    def tell(self, notice: bytes) -> None:
        self._link.ask(lambda client: client.execute_command("PUBLISH", self._channel, notice))

    def heard(self) -> bool:
        return self._link.ask(self._listen)

    def close(self) -> None:
        self._drop()
        self._link.close()

    def _listen(self, client: Client) -> bool:
        try:
            if self._ear is None:
                self._ear = client.pubsub(ignore_subscribe_messages=True)
                self._ear.subscribe(self._channel)
                return True
            is_news = False
            while self._ear.get_message(timeout=0) is not None:
                is_news = True
        except redis.RedisError:
            self._drop()
            raise
        else:
            return is_news

    def _drop(self) -> None:
        if self._ear is not None:
            with suppress(redis.RedisError):
                self._ear.close()
            self._ear = None
