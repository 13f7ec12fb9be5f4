"""The live ring as a Redis stream that all serve processes of one ledger share.

An entry is a hot batch under its own id, so a batch that two processes add is there once. It names
the id of the batch before it: whatever was trimmed, flushed or never came, a reader sees the break
and goes to the ledger. One process at a time holds the lease and reads the ledger for all; which
one it is never matters for what is delivered.

Keys, behind the prefix: `millrace:live:<ledger>` (stream: `p` id before, `t` committed at, `n`
rows, `f` frame) and `millrace:live:<ledger>:lead` (who leads).
Source: D-02, D-33, reliability.md F29.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import uuid4

import redis

from millrace.adapters.live_redis.link import Client, RedisLink
from millrace.errors import GoneError, RetryError, StopError
from millrace.flow.hot_frame import check_hot
from millrace.ports.ledger import HotBatch

SPAN_S = 60
BUDGET_BYTES = 64 * 1024 * 1024
MAX_BATCHES = 20_000
OVERHEAD_BYTES = 240
LEASE_MS = 3000

_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
if not holder then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
return 0
"""


class _Kept(NamedTuple):
    """What is remembered of a batch in the ring, to know when it must go."""

    id: int
    at_ns: int
    size_bytes: int


class RedisLive:
    """See `ports.live.Live`. `ledger` tells the rings of different ledgers apart.

    `check` raises StopError for a frame that cannot be opened here: damaged on its way, or written
    by another release. In the ledger that is a reason to stop; here the ledger answers instead.
    """

    def __init__(
        self,
        link: RedisLink,
        ledger: str,
        *,
        span_s: int = SPAN_S,
        budget_bytes: int = BUDGET_BYTES,
        check: Callable[[bytes], None] = check_hot,
    ) -> None:
        self._link = link
        self._key = f"{link.key_prefix}millrace:live:{ledger}"
        self._me = uuid4().hex
        self._span_ns = span_s * 1_000_000_000
        self._budget_bytes = budget_bytes
        self._check = check
        self._kept: deque[_Kept] = deque()
        self._size_bytes = 0

    def publish(self, batch: HotBatch, after_id: int) -> None:
        entry = {"p": after_id, "t": batch.committed_at_ns, "n": batch.rows, "f": batch.frame}
        floor = self._note(batch)
        self._link.ask(lambda client: self._add(client, batch.id, entry, floor))

    def since(self, after_id: int, limit: int = 1000) -> list[HotBatch]:
        entries = self._link.ask(
            lambda client: client.execute_command(
                "XRANGE", self._key, f"{after_id + 1}-0", "+", "COUNT", limit
            )
        )
        found: list[HotBatch] = []
        before = after_id
        for entry_id, fields in entries:
            try:
                batch, prior = _batch(entry_id, fields)
                self._check(batch.frame)
            except (KeyError, TypeError, ValueError, StopError) as error:
                raise GoneError("the live ring holds what nobody of ours has written") from error
            if prior != before:
                break
            found.append(batch)
            before = batch.id
        if entries and not found:
            raise GoneError(f"batches above {after_id} have left the live ring")
        for batch in found:
            self._note(batch)
        return found

    def leads(self) -> bool:
        try:
            held = self._link.ask(
                lambda client: client.execute_command(
                    "EVAL", _RENEW, 1, f"{self._key}:lead", self._me, LEASE_MS
                )
            )
        except RetryError:
            return True
        return bool(held)

    def close(self) -> None:
        self._link.close()

    def _add(self, client: Client, batch_id: int, entry: dict[str, Any], floor: int | None) -> None:
        with client.pipeline(transaction=False) as pipe:
            fields = [part for field in entry.items() for part in field]
            pipe.execute_command(
                "XADD", self._key, "MAXLEN", "~", MAX_BATCHES, f"{batch_id}-0", *fields
            )
            if floor is not None:
                pipe.execute_command("XTRIM", self._key, "MINID", f"{floor}-0")
            pipe.execute_command("PEXPIRE", self._key, self._span_ns // 1_000_000)
            added, *others = pipe.execute(raise_on_error=False)
        if isinstance(added, redis.ResponseError) and "equal or smaller" in str(added):
            return  # another process was quicker
        for answer in (added, *others):
            if isinstance(answer, redis.RedisError):
                raise answer

    def _note(self, batch: HotBatch) -> int | None:
        """Remember a batch; return the oldest id that may stay, None when all may."""
        if self._kept and batch.id <= self._kept[-1].id:
            return None
        kept = _Kept(batch.id, batch.committed_at_ns, len(batch.frame) + OVERHEAD_BYTES)
        self._kept.append(kept)
        self._size_bytes += kept.size_bytes
        oldest_ns = kept.at_ns - self._span_ns
        is_over = False
        while self._kept[0].at_ns < oldest_ns or (
            self._size_bytes > self._budget_bytes and len(self._kept) > 1
        ):
            self._size_bytes -= self._kept.popleft().size_bytes
            is_over = True
        return self._kept[0].id if is_over else None


def _batch(entry_id: bytes, fields: dict[bytes, bytes]) -> tuple[HotBatch, int]:
    """Return the batch of an entry, and the id of the batch before it."""
    number = int(entry_id.partition(b"-")[0])
    batch = HotBatch(number, int(fields[b"t"]), int(fields[b"n"]), fields[b"f"])
    return batch, int(fields[b"p"])
