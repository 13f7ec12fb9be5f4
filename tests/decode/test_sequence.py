"""Sequence tracking: against the literal model, over batch cuts and restarts, and row by row."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from millrace.decode.sequence import SequenceTracker, SequenceView
from millrace.errors import StopError
from millrace.model import quality
from millrace.model.sequence import SequenceFacts, Verdict
from millrace.model.work import SequenceRow
from tests.decode.sequence_model import Model

S = 1_000_000_000
T0 = 1_772_366_400 * S
TOP = 2**32


def fact(seq: int | None, at_s: float = 0, **more: Any) -> SequenceFacts:
    """Return facts of a message made and received `at_s` after T0; equal ones are copies."""
    at_ns = T0 + int(at_s * S)
    ts = more.pop("ts", at_s)
    made_ns = None if ts is None else T0 + int(ts * S)
    digest = more.pop("digest", None) or hash((seq, made_ns)) % TOP or 1
    number, device_id = more.pop("message", 0), more.pop("device_id", "m1")
    return SequenceFacts(number, device_id, seq, digest, at_ns, made_ns, **more)


def events(verdicts: Sequence[Verdict]) -> list[tuple[str, dict[str, Any]]]:
    return [(event.type, event.data) for verdict in verdicts for event in verdict.events]


def feed(*facts: SequenceFacts) -> tuple[SequenceTracker, list[Verdict]]:
    tracker = SequenceTracker()
    return tracker, tracker.judge(facts)


@st.composite
def streams(draw: st.DrawFn) -> list[SequenceFacts]:
    """Return messages of one device that runs on, loses, repeats, restarts and jumps."""
    found: list[SequenceFacts] = []
    seq = draw(st.sampled_from([0, 5, 1000, 1022, 50_000, TOP - 3]))
    at_s, clock_s = 0.0, 0.0
    for number in range(draw(st.integers(1, 30))):
        act = draw(
            st.sampled_from(["next"] * 6 + ["copy", "copy", "lose", "late", "boot", "jump", "idle"])
        )
        at_s += draw(st.sampled_from([0.0, 1.0, 10.0]))
        clock_s += 1
        if act == "copy" and found:
            old = draw(st.sampled_from(found))
            copy = replace(old, message=number, received_at_ns=T0 + int(at_s * S))
            found.append(copy)
            continue
        if act == "lose":
            seq = (seq + draw(st.sampled_from([1, 2, 62, 63, 64, 1022, 1023, 1024, 3000]))) % TOP
        elif act == "boot":
            seq = draw(st.sampled_from([0, 1, 3, 700, 20_000]))
            clock_s = draw(st.sampled_from([clock_s, clock_s + 100, -900.0]))
        elif act == "jump":
            seq = (seq + draw(st.sampled_from([65_536, 65_537, 2**31, 2**31 + 1]))) % TOP
        elif act == "idle":
            at_s += draw(st.sampled_from([599.0, 600.0, 601.0]))
        back = 0
        if act == "late":
            back = draw(st.sampled_from([1, 2, 3, 62, 64, 65, 1022, 1023, 1024, 1025]))
        seq = (seq + 1) % TOP
        ts = draw(st.sampled_from([clock_s - back, None, clock_s - 50, clock_s + 90_000]))
        kind = draw(st.sampled_from(["data"] * 6 + ["hello", "online", "silent online"]))
        found.append(
            fact(
                None if kind == "silent online" else (seq - back) % TOP,
                at_s,
                ts=ts,
                message=number,
                is_hello=kind == "hello",
                uptime_s=draw(st.sampled_from([0.0, 5.0, 500.0])) if kind == "hello" else None,
                status="online" if "online" in kind else None,
            )
        )
    return found


def run_on(first: int, last: int, at_s: float = 0) -> list[SequenceFacts]:
    return [fact(n % TOP, at_s) for n in range(first, last + 1)]


@settings(max_examples=400)
@given(streams(), st.sampled_from([0, 70, 1100]))
def test_tracker_does_what_the_table_says(sent: list[SequenceFacts], ahead: int) -> None:
    """MTR-052 to MTR-057."""
    tracker, model = SequenceTracker(), Model()
    first = next((f.seq for f in sent if f.seq is not None), 0)
    before = run_on(first - ahead, first - 1, -100)
    tracker.judge(before)
    model.begin_with(before)
    for f in sent:
        is_copy, event = model.judge(f)
        verdicts = tracker.judge([f])
        assert any(v.duplicate == "seq" for v in verdicts) == is_copy, f
        assert events(verdicts) == ([] if event is None else [event]), f
    now_ns = sent[-1].received_at_ns
    view = tracker.view("m1", now_ns)
    model.expire(now_ns)
    now = model.now
    assert (view.last_seq, view.epoch) == (now.high if now else -1, model.number)
    assert (view.gap_count, view.missing) == (
        model.gap_count,
        tuple(sorted(now.missing)) if now else (),
    )


@settings(max_examples=60)
@given(streams(), st.sets(st.integers(0, 30)))
def test_batch_cuts_and_restarts_change_nothing(sent: list[SequenceFacts], cuts: set[int]) -> None:
    """D-13, MTR-059."""
    whole = SequenceTracker()
    expected = whole.judge(sent)
    tracker, stored, got = SequenceTracker(), dict[str, SequenceRow](), list[Verdict]()
    for n, f in enumerate(sent):
        got += tracker.judge([f])
        if n in cuts:
            stored |= {row.device_id: row for row in tracker.dirty()}
            tracker = SequenceTracker()
            tracker.restore(list(stored.values()))
    assert got == expected
    stored |= {row.device_id: row for row in tracker.dirty()}
    assert list(stored.values()) == whole.dirty()


def test_only_changed_devices_are_written() -> None:
    tracker, _ = feed(fact(1), fact(1, device_id="m2"))
    assert sorted(row.device_id for row in tracker.dirty()) == ["m1", "m2"]
    tracker.judge([fact(2)])
    (row,) = tracker.dirty()
    assert (row.device_id, row.last_seq, row.last_ts_ns) == ("m1", 2, T0)
    assert tracker.dirty() == []


@pytest.mark.parametrize("state", [b"", b"\x02rest", b"\x01", b"\x01" + b"\xff" * 40])
def test_state_that_cannot_be_read_stops(state: bytes) -> None:
    """D-22."""
    tracker, _ = feed(fact(1))
    (row,) = tracker.dirty()
    with pytest.raises(StopError, match="m1"):
        SequenceTracker().restore([dataclasses.replace(row, state=state)])


def test_unknown_device_is_shown_empty() -> None:
    assert SequenceTracker().view("m1", T0) == SequenceView()


def test_devices_are_independent() -> None:
    """MTR-052."""
    _, verdicts = feed(fact(5), fact(5, device_id="b"), fact(6, device_id="b"), fact(5))
    assert [v.duplicate for v in verdicts] == ["seq"]


def test_no_seq_leaves_the_sequence_alone() -> None:
    """MTR-052."""
    tracker, verdicts = feed(fact(5), fact(None, status="offline"), fact(6))
    assert verdicts == []
    assert tracker.view("m1", T0).last_seq == 6


def test_conflict_is_flagged_and_kept() -> None:
    """MTR-053."""
    _, verdicts = feed(fact(4990), fact(4991), fact(4990, digest=7), fact(4990, digest=7))
    assert [(v.duplicate, v.flags) for v in verdicts] == [
        (None, quality.SEQ_CONFLICT),
        ("seq", 0),
    ]


def test_full_window_still_knows_its_oldest_number() -> None:
    """MTR-053, MTR-054: 1,024 numbers, and the one below is stale."""
    sent = run_on(5000, 7000)
    _, verdicts = feed(*sent, fact(5977), fact(5976))
    assert [(v.duplicate, v.flags) for v in verdicts] == [("seq", 0), (None, quality.SEQ_STALE)]


def test_numbers_given_up_for_lost_do_not_fill() -> None:
    """MTR-056: exactly 600 s after the newest gap."""
    for wait, filled in ((599.9, True), (600, False)):
        tracker, verdicts = feed(fact(2000, 0), fact(2002, 10), fact(2001, 10 + wait, ts=5))
        assert ("sequence_gap_filled" in dict(events(verdicts))) is filled
        assert tracker.view("m1", T0).gap_count == (0 if filled else 1)


def test_jump_is_a_new_epoch() -> None:
    """MTR-057, row 7."""
    _, verdicts = feed(fact(5000, 0, ts=None), fact(5000 + 65_537, 1, ts=None))
    assert events(verdicts) == [
        (
            "sequence_reset",
            {"reason": "jump", "evidence": "seq", "from": 5000, "to": 70_537, "epoch": 1},
        )
    ]


def test_late_hello_of_the_same_boot_is_no_restart() -> None:
    """MTR-057, row 3: the boot instant must be later, not the uptime alone smaller."""
    hello = {"is_hello": True}
    _, verdicts = feed(
        fact(3000, 500, uptime_s=500.0, **hello),
        fact(3001, 600, uptime_s=600.0, **hello),
        fact(2999, 601, ts=400, uptime_s=400.0, **hello),
    )
    assert verdicts == []


def test_copies_made_before_a_restart_stay_copies() -> None:
    """MTR-057, row 5, also for numbers above the old highest one."""
    old = [fact(3000, 0), fact(3001, 10)]
    after = fact(3003, 20, ts=11)
    _, verdicts = feed(*old, fact(0, 60), old[1], after, after)
    assert [v.duplicate for v in verdicts] == [None, "seq", "seq"]


def test_previous_epoch_is_kept_for_600_s() -> None:
    """MTR-057."""
    old = [fact(3000, 0), fact(3001, 10)]
    copy = fact(3001, 660, ts=10)
    _, verdicts = feed(*old, fact(0, 60), copy)
    assert events(verdicts)[-1][0] == "sequence_gap_opened"


def test_retained_copy_of_the_last_status_is_a_duplicate() -> None:
    """MTR-076."""
    live = fact(None, 0, status="online", digest=9)
    replayed = fact(None, 1, status="online", digest=9, is_live=False)
    other = fact(None, 2, status="offline", digest=8, is_live=False)
    _, verdicts = feed(live, replayed, other, other)
    assert [(v.duplicate, v.flags) for v in verdicts] == [("retained", 0), ("retained", 0)]


def test_retained_online_is_no_sign_of_a_restart() -> None:
    """MTR-057, row 4: only a live status is."""
    for is_live, expected in ((True, ["sequence_reset"]), (False, ["sequence_stale"])):
        online = fact(None, 1, ts=None, status="online", is_live=is_live)
        _, verdicts = feed(fact(5000, 0, ts=None), online, fact(0, 2, ts=None))
        assert [name for name, _ in events(verdicts)] == expected


def test_times_far_ahead_are_not_used() -> None:
    """A clock that is wrong by years once does not make all later messages old."""
    _, verdicts = feed(fact(5000, 0), fact(5001, 1, ts=10**6), fact(0, 60))
    assert events(verdicts)[0][1]["evidence"] == "ts"


def test_huge_values_can_be_stored() -> None:
    tracker, _ = feed(
        fact(1, is_hello=True, uptime_s=1e300), SequenceFacts(0, "m2", 1, 2**40, T0, -(2**63))
    )
    rows = tracker.dirty()
    SequenceTracker().restore(rows)


def test_mtr060_the_firmware_named_before_is_told() -> None:
    _, verdicts = feed(
        fact(1, 0, is_hello=True, fw_version="2.1.0"),
        fact(None, 1, is_hello=True, fw_version="2.2.0"),
        fact(1, 0, is_hello=True, fw_version="2.1.0"),
        fact(2, 2, is_hello=True),
        fact(3, 3, is_hello=True, fw_version="2.2.0"),
    )
    assert [(v.duplicate, v.fw_before) for v in verdicts] == [
        (None, ""),
        (None, "2.1.0"),
        ("seq", None),
        (None, "2.2.0"),
    ]


def test_mtr059_counters_and_firmware_outlive_a_restart() -> None:
    tracker, _ = feed(
        fact(1, is_hello=True, fw_version="2.1.0-\u00e4"), fact(5), fact(5), fact(0, 60)
    )
    rows = tracker.dirty()
    survivor = SequenceTracker()
    survivor.restore([dataclasses.replace(row, gap_count=0, duplicates=0) for row in rows])
    assert survivor.view("m1", T0) == tracker.view("m1", T0)
    assert survivor.view("m1", T0).gap_count == 3
    (verdict,) = survivor.judge([fact(None, 61, is_hello=True, fw_version="3")])
    assert verdict.fw_before == "2.1.0-\u00e4"


def test_d22_state_of_the_release_before_is_read() -> None:
    """Version 1 had no counters and no firmware between its head and the windows."""
    made, _ = feed(fact(7), fact(9))
    (row,) = made.dirty()
    old = b"\x01" + row.state[1:62] + row.state[87:]
    tracker = SequenceTracker()
    tracker.restore([SequenceRow("m1", 9, 0, 1, 2, 0, T0, old)])
    view = tracker.view("m1", T0)
    assert view == SequenceView(last_seq=9, gap_count=1, missing=(8,), duplicates=2)
