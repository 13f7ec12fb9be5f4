"""Sequence tracking written down literally from meter.md section 4, slow and without short cuts.

Seen numbers are a dictionary that is cut to the window after each message; every row of the
decision table is one branch. Retained statuses are left out.
"""

from dataclasses import dataclass, field
from typing import Any

from millrace.model.sequence import SequenceFacts

M = 2**32
S = 1_000_000_000


def signed(a: int, b: int) -> int:
    d = (a - b) % M
    return d - M if d > M // 2 else d


@dataclass
class Epoch:
    high: int
    seen: dict[int, int] = field(default_factory=dict)
    missing: dict[int, int] = field(default_factory=dict)
    last_ts: int | None = None
    until: int = 0

    def cut(self) -> None:
        for numbers in (self.seen, self.missing):
            for seq in [s for s in numbers if signed(s, self.high) <= -1024]:
                del numbers[seq]

    def accept(self, ts: int | None) -> None:
        if ts is not None and (self.last_ts is None or ts > self.last_ts):
            self.last_ts = ts


class Model:
    """State of one device; `judge` answers (duplicate, event or None)."""

    def __init__(self) -> None:
        self.now: Epoch | None = None
        self.before: Epoch | None = None
        self.number = self.gap_count = self.first_seq = self.newest_gap = 0
        self.first_ts: int | None = None
        self.hello: tuple[int, float, int | None] | None = None
        self.online: tuple[int | None] | None = None

    def begin_with(self, facts: list[SequenceFacts]) -> None:
        """Take in numbers in order, without looking at each one."""
        for fact in facts[:1]:
            self.judge(fact)
            assert self.now is not None
            self.now.high = facts[-1].seq or 0
            self.now.seen = {f.seq: f.digest for f in facts if f.seq is not None}
            self.now.cut()

    def judge(self, fact: SequenceFacts) -> tuple[bool, tuple[str, dict[str, Any]] | None]:
        at = fact.received_at_ns
        self.expire(at)
        ts = fact.device_time_ns
        if ts is not None and ts > at + 86_400 * S:
            ts = None
        answer: tuple[bool, tuple[str, dict[str, Any]] | None] = (False, None)
        if fact.seq is not None:
            answer = self.rows(fact, fact.seq, ts)
        if not answer[0] and fact.status == "online":
            self.online = (ts,)
        return answer

    def expire(self, at: int) -> None:
        if self.before and at >= self.before.until:
            self.before = None
        if self.newest_gap and at >= self.newest_gap + 600 * S:
            self.newest_gap = 0
            for epoch in (self.now, self.before):
                if epoch:
                    epoch.missing = {}

    def rows(  # noqa: C901, PLR0911 - one branch for each row of the table
        self, fact: SequenceFacts, seq: int, ts: int | None
    ) -> tuple[bool, tuple[str, dict[str, Any]] | None]:
        now, before, digest = self.now, self.before, fact.digest
        if now is None:
            return self.begin(fact, seq, ts)
        d = signed(seq, now.high)
        if -1024 < d <= 0 and now.seen.get(seq) == digest:
            return True, None
        boot = None if ts is None or fact.uptime_s is None else ts - int(fact.uptime_s * S)
        if (
            fact.is_hello
            and fact.uptime_s is not None
            and self.hello
            and fact.uptime_s < self.hello[1]
            and boot is not None
            and self.hello[2] is not None
            and boot > self.hello[2] + 5 * S
        ):
            return self.restart(fact, seq, ts, "uptime")
        if self.online and seq < 1024 and (d <= 0 or d > 1024):
            since = self.online[0]
            if since is None or ts is None or ts >= since:
                return self.restart(fact, seq, ts, "online")
        if before and ts is not None and self.first_ts is not None and ts < self.first_ts:
            d2 = signed(seq, before.high)
            is_first = (
                before.last_ts is not None
                and ts > before.last_ts
                and 1 <= (self.first_seq - seq) % M <= 1023
            )
            if -1024 < d2 <= 1024 and not is_first:
                return self.within(before, fact, seq, ts)
        newer = ts is not None and now.last_ts is not None and ts > now.last_ts
        if newer and ((seq < 1024 and (d <= 0 or d > 1024)) or d <= -1024):
            return self.restart(fact, seq, ts, "ts")
        if d > 65_536:
            return self.restart(fact, seq, ts, "seq")
        if d <= -1024:
            self.accept(now, fact, seq, ts)
            return False, ("sequence_stale", {"seq": seq, "last_seq": now.high})
        if d > 1:
            self.gap_count += d - 1
            self.newest_gap = fact.received_at_ns
            for missed in range(1, d):
                now.missing[(now.high + missed) % M] = fact.received_at_ns
            first = (now.high + 1) % M
            self.take(now, fact, seq, ts)
            data = {"first": first, "last": (seq - 1) % M, "missing": d - 1}
            return False, ("sequence_gap_opened", data)
        return self.within(now, fact, seq, ts)

    def within(
        self, epoch: Epoch, fact: SequenceFacts, seq: int, ts: int | None
    ) -> tuple[bool, tuple[str, dict[str, Any]] | None]:
        event = None
        if seq in epoch.seen:
            if epoch.seen[seq] == fact.digest:
                return True, None
            event = ("sequence_conflict", {"seq": seq})
        elif seq in epoch.missing:
            del epoch.missing[seq]
            self.gap_count -= 1
            event = ("sequence_gap_filled", {"seq": seq, "still_missing": self.gap_count})
        self.take(epoch, fact, seq, ts)
        return False, event

    def take(self, epoch: Epoch, fact: SequenceFacts, seq: int, ts: int | None) -> None:
        if signed(seq, epoch.high) > 0:
            epoch.high = seq
        epoch.seen[seq] = fact.digest
        epoch.cut()
        self.accept(epoch, fact, seq, ts)

    def accept(self, epoch: Epoch, fact: SequenceFacts, seq: int, ts: int | None) -> None:
        self.online = None
        epoch.accept(ts)
        if epoch is not self.now:
            return
        if self.first_ts is None:
            self.first_ts = ts
        is_newest = self.hello is None or signed(seq, self.hello[0]) > 0
        if fact.is_hello and fact.uptime_s is not None and is_newest:
            boot = None if ts is None else ts - int(fact.uptime_s * S)
            self.hello = (seq, fact.uptime_s, boot)

    def begin(self, fact: SequenceFacts, seq: int, ts: int | None) -> tuple[bool, None]:
        self.now = Epoch(seq)
        self.first_seq, self.first_ts, self.hello = seq, ts, None
        self.take(self.now, fact, seq, ts)
        return False, None

    def restart(
        self, fact: SequenceFacts, seq: int, ts: int | None, evidence: str
    ) -> tuple[bool, tuple[str, dict[str, Any]]]:
        assert self.now is not None
        self.before = self.now
        self.before.until = fact.received_at_ns + 600 * S
        self.number += 1
        old = self.now.high
        self.begin(fact, seq, ts)
        data = {
            "reason": "jump" if evidence == "seq" else "reboot",
            "evidence": evidence,
            "from": old,
            "to": seq,
            "epoch": self.number,
        }
        return False, ("sequence_reset", data)
