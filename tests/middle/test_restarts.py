"""What a core process knows after a restart, and what it does while the ledger is away."""

import json
from collections.abc import Iterator

import pytest

from millrace.adapters.ledger_memory import LedgerBooks, MemoryLedger
from millrace.decode.sequence import SequenceTracker
from millrace.errors import FencedError, RetryError
from millrace.model.message import DUP
from millrace.model.sequence import SequenceFacts, Verdict
from millrace.model.work import Committed, Effects
from millrace.record.latest import open_page
from millrace.settings import Settings
from millrace.wiring.middle import build_middle
from tests.middle.rig import Rig, Sent, stored

TEMPERATURE = "sensors/temperature/"


def room(n: int, value: float, at_s: float = 0.0, flags: int = 1) -> Sent:
    return Sent(f"{TEMPERATURE}s{n}", b'{"data":{"temperature_celsius":%f}}' % value, at_s, flags)


def numbered(seq: int, at_s: float = 0.0, flags: int = 1) -> Sent:
    body = {"seq": seq, "msg_type": "telemetry", "measurements": [{"type": "x", "val": seq}]}
    return Sent("iot/m1/telemetry", json.dumps(body).encode(), at_s, flags)


def latest(books: LedgerBooks) -> dict[str, float]:
    """Return the latest values that a reader would find in the stored pages, by device."""
    names = {number: key.device_id for key, number in books.series.items()}
    found: dict[str, float] = {}
    for page in books.latest[1].values():
        ids, rows = open_page(page)
        values = zip(ids.tolist(), rows["value"].tolist(), strict=True)
        found.update((names[series_id], value) for series_id, value in values)
    return found


def counts(books: LedgerBooks) -> dict[str, int]:
    return {f"{t.outcome} {t.detail}": n for t, n in books.counts.items()}


def test_api031_latest_values_survive_a_crash_between_two_pages() -> None:
    rig = Rig()
    pump = rig.pump()
    for second, n in ((0, 1), (1, 2)):
        rig.append(room(n, float(n)))
        pump.drain()
        rig.clock.advance(second)
    survivor = rig.pump()
    rig.append(room(3, 3.0))
    rig.clock.advance(11)
    survivor.drain()
    rig.clock.advance(11)
    survivor.run_once()
    # Pages claim to be complete up to a hot batch; what they claim may be forgotten elsewhere.
    assert rig.books.latest[0] == rig.books.hot[-1].id
    assert latest(rig.books) == {"s1": 1.0, "s2": 2.0, "s3": 3.0}


def test_mtr058_redelivery_is_known_after_a_crash() -> None:
    rig = Rig()
    rig.append(room(1, 1.0))
    rig.pump().drain()
    rig.append(room(1, 1.0, 9.0, 1 | DUP))
    # The core may have been away for long: what counts is when messages were received.
    rig.clock.advance(3600)
    rig.pump().drain()
    assert counts(rig.books) == {"stored sensor": 1, "duplicate redelivery": 1}


def test_mtr059_sequence_state_survives_a_crash() -> None:
    rig = Rig()
    for group in ([numbered(0), numbered(1)], [numbered(1), numbered(4)], [numbered(2)]):
        rig.append(*group)
        rig.pump().drain()
    assert counts(rig.books) == {"stored telemetry": 4, "duplicate seq": 1}
    assert [row.event.type for row in rig.books.events] == [
        "device_discovered",
        "sequence_gap_opened",
        "sequence_gap_filled",
    ]


def test_mtr070_mtr071_a_device_is_shown_although_nothing_follows() -> None:
    rig = Rig()
    pump = rig.pump()
    rig.append(room(1, 1.0))
    pump.drain()
    rig.append(Sent("iot/m1/hello", b'{"fw_version":"2.1.0","msg_type":"hello"}', 0.5))
    rig.append(Sent("iot/m1/telemetry", b'{"voltage_dc":1}', 0.6))
    pump.drain()
    rig.append(Sent("iot/m1/status", b'{"status":"offline"}', 0.7))
    pump.drain()
    rig.clock.advance(2.5)
    assert pump.run_once() == 0
    touch = rig.books.devices["m1"]
    assert touch.connection_status == "offline"
    assert touch.last_seen_ns == 1_772_366_400_600_000_000
    assert touch.fw_version == "2.1.0"


def test_mtr071_what_was_shown_before_a_crash_is_not_forgotten() -> None:
    rig = Rig()
    pump = rig.pump()
    rig.append(room(1, 1.0))
    pump.drain()
    rig.append(Sent("iot/m1/hello", b'{"fw_version":"2.1.0","msg_type":"hello"}', 0.5))
    pump.drain()
    assert rig.books.devices["m1"].fw_version is None
    survivor = rig.pump()
    rig.clock.advance(2.5)
    survivor.run_once()
    assert rig.books.devices["m1"].fw_version == "2.1.0"


class Failing(MemoryLedger):
    """A ledger that is away at some calls, and knows how often it was asked."""

    def __init__(self, books: LedgerBooks, away: Iterator[bool]) -> None:
        super().__init__(books)
        self._away = away
        self.calls = 0

    def commit(self, effects: Effects) -> Committed:
        self.calls += 1
        if next(self._away, False):
            raise RetryError("away")
        return super().commit(effects)


class CountingTracker(SequenceTracker):
    """A tracker that knows how often it was asked."""

    calls = 0

    def judge(self, facts: "list[SequenceFacts]") -> list[Verdict]:  # type: ignore[override]
        self.calls += 1
        return super().judge(facts)


def test_f22_an_outage_keeps_the_batch_in_hand() -> None:
    rig = Rig()
    ledger = Failing(rig.books, iter([True, True, False]))
    pump = rig.pump(ledger=ledger)
    rig.append(*(numbered(n) for n in range(5)))
    for _ in range(2):
        rig.clock.advance(1)
        with pytest.raises(RetryError):
            pump.drain()
        assert not rig.books.counts
        rig.append(numbered(9))
    assert pump.drain() == 7
    assert counts(rig.books) == {"stored telemetry": 6, "duplicate seq": 1}
    assert [e.event.data for e in rig.books.events[1:]] == [{"first": 5, "last": 8, "missing": 4}]


def test_f22_an_outage_while_nothing_comes_loses_no_touch() -> None:
    rig = Rig()
    ledger = Failing(rig.books, iter([False, False, True]))
    pump = rig.pump(ledger=ledger)
    for n in (1, 2):
        rig.append(room(n, 1.0, float(n)))
        pump.drain()
    rig.clock.advance(3)
    with pytest.raises(RetryError):
        pump.run_once()
    rig.append(room(3, 1.0, 3.0))
    pump.drain()
    rig.clock.advance(3)
    pump.run_once()
    seen = {name: touch.last_seen_ns for name, touch in rig.books.devices.items()}
    assert seen == {f"s{n}": 1_772_366_400_000_000_000 + n * 10**9 for n in (1, 2, 3)}


def test_d25_a_moved_registry_redoes_the_batch_and_judges_it_once() -> None:
    rig = Rig()
    middle = build_middle(Settings(), partitions=1)
    tracker = middle._tracker = CountingTracker()

    class Moving(MemoryLedger):
        moves = 2

        def commit(self, effects: Effects) -> Committed:
            if self.moves:
                self.moves -= 1
                self.books.registry_version += 1
            return super().commit(effects)

    pump = rig.pump(middle=middle, ledger=Moving(rig.books))
    rig.append(*(numbered(n) for n in (0, 1, 1, 3)))
    pump.drain()
    assert tracker.calls == 1
    plain = Rig().run([numbered(n) for n in (0, 1, 1, 3)])
    assert stored(rig.books) == stored(plain.books)


def test_p5_a_pump_whose_positions_were_taken_stops() -> None:
    rig = Rig()
    before, after = rig.pump(), rig.pump()
    rig.append(room(1, 1.0))
    assert after.drain() == 1
    with pytest.raises(FencedError):
        before.drain()
    assert counts(rig.books) == {"stored sensor": 1}


def test_f41_a_flood_of_topics_never_drops_a_route_in_use() -> None:
    rig = Rig()
    middle = build_middle(Settings(), partitions=1)
    middle._router._max_routes = 50
    pump = rig.pump(middle=middle)
    for first in range(0, 300, 30):
        rig.append(*(room(n, 1.0) for n in (*range(10), *range(first, first + 45))))
        pump.drain()
    assert len(middle._router.routes) < 150
    assert rig.books.counts.total() == 550


def test_api069_what_is_shown_of_a_sequence_is_two_seconds_old_at_most() -> None:
    rig = Rig()
    pump = rig.pump()
    rig.append(numbered(0))
    pump.drain()
    assert rig.books.shown["m1"].last_seq == 0
    rig.append(numbered(1), numbered(4))
    pump.drain()
    assert rig.books.shown["m1"].last_seq == 0
    rig.clock.advance(2)
    assert pump.run_once() == 0
    shown = rig.books.shown["m1"]
    assert (shown.last_seq, shown.gap_count, shown.missing) == (4, 2, (2, 3))
    assert rig.books.sequences["m1"].last_seq == 0, "the packed state waits for the snapshot"
    rig.clock.advance(60)
    rig.append(numbered(2))
    pump.drain()
    assert rig.books.shown["m1"].missing == (3,)
    assert rig.books.sequences["m1"].gap_count == 1


def test_api069_what_was_not_shown_before_a_crash_is_shown_after_it() -> None:
    rig = Rig()
    pump = rig.pump()
    rig.append(numbered(0))
    pump.drain()
    rig.append(numbered(3))
    pump.drain()
    survivor = rig.pump()
    rig.clock.advance(2)
    survivor.run_once()
    assert rig.books.shown["m1"].missing == (1, 2)
