"""The link to Redis: short deadlines, and a rest after every failure.

Nobody may wait for a cache. A command has a quarter of a second; when one fails, the next ones fail
at once for a second, then two, at most five, or ten times as long as the failure took (a name that
nobody resolves has no deadline). So a server that hangs costs a caller a tenth of its time at most.
The first command that succeeds ends the rest.
Source: reliability.md F29.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from millrace.errors import RetryError
from millrace.ports.clock import Clock

T = TypeVar("T")

# A `redis.Redis`; its raw commands are untyped, and they are all that is used of it.
Client = Any

FIRST_REST_S = 1.0
LONGEST_REST_S = 5.0
RESTS_PER_WAIT = 10
PROBE_MS = 60_000

_log = structlog.get_logger("millrace.redis")


@dataclass(frozen=True, slots=True)
class RedisTarget:
    """Where Redis is, and how it is spoken to."""

    host: str
    port: int = 6379
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    is_tls: bool = False
    tls_ca: Path | None = None
    timeout_s: float = 0.25

    def client(self) -> Client:
        """Return a client that has not connected yet."""
        return redis.Redis(
            host=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            ssl=self.is_tls,
            ssl_ca_certs=str(self.tls_ca) if self.tls_ca else None,
            socket_timeout=self.timeout_s,
            socket_connect_timeout=self.timeout_s,
            # A connection that a restart has cut is replaced at once; a late answer is not awaited.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
            protocol=2,
            client_name="millrace",
        )


class RedisLink:
    """Asks Redis; used from one thread.

    `key_prefix` goes in front of every key; `failed` is told of every command that did not work.
    A quiet one does not log, because its user tells a person what it finds.
    """

    def __init__(
        self,
        target: RedisTarget,
        clock: Clock,
        *,
        key_prefix: str = "",
        failed: Callable[[], None] = lambda: None,
        is_quiet: bool = False,
    ) -> None:
        self.key_prefix = key_prefix
        self.where = f"{target.host}:{target.port}"
        self._client = target.client()
        self._clock = clock
        self._failed = failed
        self._is_quiet = is_quiet
        self._rest_s = 0.0
        self._rests_until_s = float("-inf")

    def ask(self, question: Callable[[Client], T]) -> T:
        """Return what a question to the client answers.

        Raises:
            RetryError: Redis is away, refuses, is too slow, or was so a moment ago.
        """
        begun_s = self._clock.steady_s()
        if begun_s < self._rests_until_s:
            self._failed()
            raise RetryError(f"Redis at {self.where} is away")
        try:
            answer = question(self._client)
        except redis.RedisError as error:
            self._failed()
            self._rest(error, waited_s=self._clock.steady_s() - begun_s)
            raise RetryError(f"Redis at {self.where}: {error}") from error
        if self._rest_s:
            self._rest_s = 0.0
            _log.info("redis_is_back", where=self.where)
        return answer

    def probe(self) -> None:
        """Write and read one value (MON-012). Raises: RetryError, it does not work."""
        key = f"{self.key_prefix}millrace:probe"
        self.ask(lambda client: client.execute_command("SET", key, "1", "PX", PROBE_MS))
        if self.ask(lambda client: client.execute_command("GET", key)) is None:
            raise RetryError(f"Redis at {self.where} does not keep what is written")

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _rest(self, error: redis.RedisError, *, waited_s: float) -> None:
        if not self._rest_s and not self._is_quiet:
            _log.warning("redis_is_away", where=self.where, error=str(error))
        self._rest_s = min(max(FIRST_REST_S, 2 * self._rest_s), LONGEST_REST_S)
        lasts_s = max(self._rest_s, RESTS_PER_WAIT * waited_s)
        self._rests_until_s = self._clock.steady_s() + lasts_s
