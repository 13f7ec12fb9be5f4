"""Sequence tracking: which messages are copies, which are missing, when a device began anew.

One counter per device numbers its messages; what arrives is judged against the newest 1,024
numbers and, for a while after a restart, against those of the epoch before. Nothing is dropped but
exact copies. State is lazy: what falls due is forgotten before the next message is judged, so that
batch cuts change nothing.
The firmware that a device names is remembered beside its numbers, for the same reasons.
Source: meter.md section 4 (MTR-050 to MTR-059), MTR-060, MTR-076, D-13, D-21.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from millrace.decode.sequence_state import (
    SEQ_MASK,
    WINDOW,
    DeviceSequence,
    Window,
    pack,
    unpack,
)
from millrace.model import quality
from millrace.model.event import Event
from millrace.model.instants import DAY_NS, MAX_NS, MIN_NS, SECOND_NS
from millrace.model.sequence import SEQ_MODULUS, SequenceFacts, Verdict
from millrace.model.work import SequenceRow, SequenceShown

_HALF = SEQ_MODULUS // 2
_BOOT_TOLERANCE_NS = 5 * SECOND_NS
_MAX_UPTIME_S = MAX_NS // SECOND_NS


@dataclass(frozen=True, slots=True)
class SequenceOptions:
    """What may be set; the names are those of the settings below `meter`."""

    max_gap_seqs: int = 65_536
    gap_resolve_s: int = 600
    previous_epoch_s: int = 600


@dataclass(frozen=True, slots=True)
class SequenceView:
    """What may be shown of one device. `missing` can still be filled, in ascending order."""

    last_seq: int = -1
    epoch: int = 0
    gap_count: int = 0
    missing: tuple[int, ...] = ()
    duplicates: int = 0
    resets: int = 0


class SequenceTracker:
    """Judges messages by the sequence of their device, and remembers them."""

    def __init__(self, options: SequenceOptions | None = None) -> None:
        options = options or SequenceOptions()
        self._max_gap = options.max_gap_seqs
        self._resolve_ns = options.gap_resolve_s * SECOND_NS
        self._previous_ns = options.previous_epoch_s * SECOND_NS
        self._states: dict[str, DeviceSequence] = {}
        # Who was heard, and who of them is not yet shown or not yet written.
        self._heard: set[str] = set()
        self._unshown: set[str] = set()
        self._dirty: set[str] = set()

    def judge(self, facts: Iterable[SequenceFacts]) -> list[Verdict]:
        """Return verdicts in the order of the messages; one without a verdict is accepted as it is.

        Remembers the messages: judging the same ones again finds copies.
        """
        verdicts = []
        for fact in facts:
            self._heard.add(fact.device_id)
            state = self._states.get(fact.device_id)
            if state is None:
                state = self._states[fact.device_id] = DeviceSequence()
            elif _continues(state, fact):
                continue
            verdict = self._judge(state, fact)
            if verdict is not None:
                verdicts.append(verdict)
        return verdicts

    def view(self, device_id: str, now_ns: int) -> SequenceView:
        """Return what is known of a device at an instant."""
        state = self._states.get(device_id)
        if state is None:
            return SequenceView()
        self._expire(state, now_ns)
        return SequenceView(
            last_seq=state.window.high if state.window else -1,
            epoch=state.epoch,
            gap_count=state.gap_count,
            missing=tuple(sorted(state.window.missing)) if state.window else (),
            duplicates=state.duplicates,
            resets=state.resets,
        )

    def dirty(self) -> list[SequenceRow]:
        """Return the rows of the devices that changed since the last call."""
        self._sort_heard()
        names, self._dirty = self._dirty, set()
        return [pack(name, self._states[name]) for name in names]

    def moved(self) -> list[SequenceShown]:
        """Return what may be seen of the devices that changed since the last call."""
        self._sort_heard()
        names, self._unshown = self._unshown, set()
        return [_shown(name, self._states[name]) for name in names]

    def _sort_heard(self) -> None:
        self._unshown |= self._heard
        self._dirty |= self._heard
        self._heard = set()

    def restore(self, rows: Sequence[SequenceRow]) -> None:
        """Take over stored state. Raises: StopError for a version that is not known."""
        for row in rows:
            self._states[row.device_id] = unpack(row)

    def _judge(self, state: DeviceSequence, fact: SequenceFacts) -> Verdict | None:
        self._expire(state, fact.received_at_ns)
        digest = fact.digest & SEQ_MASK or 1
        if fact.status is not None and not fact.is_live and state.status_digest == digest:
            state.duplicates += 1
            return Verdict(fact.message, "retained")
        verdict = None
        if fact.seq is not None:
            verdict = _Case(state, fact, fact.seq, digest).judge(self._max_gap, self._previous_ns)
            if verdict is not None and verdict.duplicate is not None:
                state.duplicates += 1
                return verdict
        if fact.status is not None:
            state.status_digest = digest
            if fact.is_live and fact.status == "online":
                state.is_online, state.online_ns = True, _usable_time(fact)
        if fact.fw_version is not None:
            verdict = verdict or Verdict(fact.message)
            verdict.fw_before, state.fw_version = state.fw_version, fact.fw_version
        return verdict

    def _expire(self, state: DeviceSequence, now_ns: int) -> None:
        """Forget what is due: an epoch that is over, and numbers given up for lost (MTR-056)."""
        if state.previous is not None and now_ns >= state.previous.until_ns:
            state.previous = None
        if state.newest_gap_ns and now_ns >= state.newest_gap_ns + self._resolve_ns:
            state.newest_gap_ns = 0
            for window in (state.window, state.previous):
                if window is not None:
                    window.missing.clear()


def _continues(state: DeviceSequence, fact: SequenceFacts) -> bool:
    """Take in the next number of a device about which nothing is unusual; say whether it was."""
    window, seq = state.window, fact.seq
    if (
        window is None
        or seq != window.high + 1
        or window.missing
        or state.previous is not None
        or fact.is_hello
        or fact.status is not None
    ):
        return False
    if window.span <= window.mask:
        window.span += 1
    elif window.span < WINDOW:
        return False
    time_ns = fact.device_time_ns
    if time_ns is not None and MIN_NS < time_ns <= fact.received_at_ns + DAY_NS:
        if state.first_ns is None:
            state.first_ns = time_ns
        if window.last_ns is None or time_ns > window.last_ns:
            window.last_ns = time_ns
    window.ring[seq & window.mask] = fact.digest & SEQ_MASK or 1
    window.high = seq
    state.is_online = False
    return True


class _Case:
    """One message before the rows of the decision table, which are tried in order."""

    def __init__(self, state: DeviceSequence, fact: SequenceFacts, seq: int, digest: int) -> None:
        self._state = state
        self._fact = fact
        self._seq = seq
        self._digest = digest
        self._time_ns = _usable_time(fact)

    def judge(self, max_gap: int, previous_ns: int) -> Verdict | None:
        """Return the verdict, and take the message in unless it is a duplicate."""
        state, window, seq = self._state, self._state.window, self._seq
        if window is None:  # row 1
            self._begin()
            return None
        d = _distance(seq, window.high)
        seen = window.digest(seq, d) if -WINDOW < d <= 0 else 0
        if seen == self._digest:  # row 2
            return Verdict(self._fact.message, "seq")
        evidence = self._restart_before(d)  # rows 3 and 4
        if evidence is None:
            if state.previous is not None and self._is_of(state.previous):  # row 5
                return self._judge_within(
                    state.previous, _distance(seq, state.previous.high), is_previous=True
                )
            evidence = self._restart_after(window, d, max_gap)  # rows 6 and 7
        if evidence is not None:
            return self._restart(window, evidence, previous_ns)
        return self._judge_within(window, d)  # rows 8 to 11

    def _restart_before(self, d: int) -> str | None:
        state, fact = self._state, self._fact
        if fact.is_hello and fact.uptime_s is not None and state.uptime_s is not None:
            boot_ns = self._boot_ns()
            if (
                fact.uptime_s < state.uptime_s
                and boot_ns is not None
                and state.boot_ns is not None
                and boot_ns > state.boot_ns + _BOOT_TOLERANCE_NS
            ):
                return "uptime"
        if state.is_online and self._seq < WINDOW and (d <= 0 or d > WINDOW):
            since, time_ns = state.online_ns, self._time_ns
            if since is None or time_ns is None or time_ns >= since:
                return "online"
        return None

    def _restart_after(self, window: Window, d: int, max_gap: int) -> str | None:
        time_ns, last_ns = self._time_ns, window.last_ns
        is_newer = time_ns is not None and last_ns is not None and time_ns > last_ns
        if is_newer and ((self._seq < WINDOW and (d <= 0 or d > WINDOW)) or d <= -WINDOW):
            return "ts"
        return "seq" if d > max_gap else None

    def _is_of(self, previous: Window) -> bool:
        """Say whether the message was made before the restart (row 5)."""
        state, time_ns = self._state, self._time_ns
        if time_ns is None or state.first_ns is None or time_ns >= state.first_ns:
            return False
        if not -WINDOW < _distance(self._seq, previous.high) <= WINDOW:
            return False
        is_after = previous.last_ns is not None and time_ns > previous.last_ns
        return not (is_after and 0 < _distance(state.first_seq, self._seq) < WINDOW)

    def _judge_within(self, window: Window, d: int, *, is_previous: bool = False) -> Verdict | None:
        """Judge by one window: stale, seen, filling, late, or ahead with or without a gap."""
        if d <= -WINDOW:
            self._accept(window)
            return self._say("sequence_stale", quality.SEQ_STALE, last_seq=window.high)
        verdict: Verdict | None = None
        seen = window.digest(self._seq, d) if d <= 0 else 0
        if seen == self._digest:
            return Verdict(self._fact.message, "seq")
        if seen:
            verdict = self._say("sequence_conflict", quality.SEQ_CONFLICT)
        elif window.missing.pop(self._seq, None) is not None:
            self._state.gap_count -= 1
            verdict = self._say("sequence_gap_filled", still_missing=self._state.gap_count)
        elif d > 1 and not is_previous:
            verdict = self._open_gap(window, d)
        window.see(self._seq, self._digest, d)
        self._accept(window)
        return verdict

    def _open_gap(self, window: Window, d: int) -> Verdict:
        now_ns = self._fact.received_at_ns
        first, last = (window.high + 1) & SEQ_MASK, (self._seq - 1) & SEQ_MASK
        window.miss(d, now_ns)
        self._state.gap_count += d - 1
        self._state.newest_gap_ns = now_ns
        data = {"first": first, "last": last, "missing": d - 1}
        return self._verdict("sequence_gap_opened", data)

    def _restart(self, window: Window, evidence: str, previous_ns: int) -> Verdict:
        state = self._state
        window.until_ns = self._fact.received_at_ns + previous_ns
        state.previous = window
        state.epoch += 1
        state.resets += 1
        state.uptime_s = state.boot_ns = None
        self._begin()
        return self._verdict(
            "sequence_reset",
            {
                "reason": "jump" if evidence == "seq" else "reboot",
                "evidence": evidence,
                "from": window.high,
                "to": self._seq,
                "epoch": state.epoch,
            },
        )

    def _begin(self) -> None:
        """Begin an epoch with this message."""
        state = self._state
        state.window = Window(self._seq, self._digest, self._time_ns)
        state.first_seq, state.first_ns = self._seq, self._time_ns
        self._accept(state.window)

    def _accept(self, window: Window) -> None:
        """Remember what any accepted message of the epoch of `window` says."""
        state, fact, time_ns = self._state, self._fact, self._time_ns
        state.is_online = False
        if time_ns is not None and (window.last_ns is None or time_ns > window.last_ns):
            window.last_ns = time_ns
        if window is not state.window:
            return
        if state.first_ns is None:
            state.first_ns = time_ns
        is_newest = state.uptime_s is None or _distance(self._seq, state.hello_seq) > 0
        if fact.is_hello and fact.uptime_s is not None and is_newest:
            state.uptime_s, state.boot_ns = fact.uptime_s, self._boot_ns()
            state.hello_seq = self._seq

    def _boot_ns(self) -> int | None:
        uptime_s = self._fact.uptime_s
        if self._time_ns is None or uptime_s is None or uptime_s > _MAX_UPTIME_S:
            return None
        boot_ns = self._time_ns - int(uptime_s * SECOND_NS)
        return boot_ns if boot_ns > MIN_NS else None

    def _say(self, type_: str, flags: int = 0, **members: Any) -> Verdict:
        return self._verdict(type_, {"seq": self._seq, **members}, flags)

    def _verdict(self, type_: str, data: dict[str, Any], flags: int = 0) -> Verdict:
        fact = self._fact
        event = Event(type_, fact.device_id, fact.received_at_ns, data, 0, fact.message)
        return Verdict(fact.message, None, flags, [event])


def _usable_time(fact: SequenceFacts) -> int | None:
    """Return the claimed time; a clock far ahead would make every later message look old."""
    time_ns = fact.device_time_ns
    if time_ns is None or not MIN_NS < time_ns <= fact.received_at_ns + DAY_NS:
        return None
    return time_ns


def _distance(seq: int, high: int) -> int:
    """Return how far `seq` is above `high` on the circle, in (-2^31, 2^31]."""
    d = (seq - high) & SEQ_MASK
    return d - SEQ_MODULUS if d > _HALF else d


def _shown(device_id: str, state: DeviceSequence) -> SequenceShown:
    window = state.window
    return SequenceShown(
        device_id,
        window.high if window else -1,
        state.epoch,
        state.gap_count,
        state.duplicates,
        state.resets,
        window.last_ns if window else None,
        tuple(sorted(window.missing)) if window and window.missing else (),
    )
