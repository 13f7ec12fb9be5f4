"""MTR-060: the event `fw_changed`, once for each change, whatever crashed."""

import json

from millrace.adapters.ledger_memory import LedgerBooks, MemoryLedger
from millrace.model.message import DUP
from millrace.model.work import Committed, DeviceTouch, Effects
from tests.middle.rig import Rig, Sent


def hello(fw_version: str, seq: int | None = None, at_s: float = 0.0, flags: int = 1) -> Sent:
    body = {"msg_type": "hello", "fw_version": fw_version, "ts": 1_772_366_400 + at_s}
    if seq is not None:
        body["seq"] = seq
    return Sent("iot/m1/hello", json.dumps(body).encode(), at_s, flags)


def changes(rig: Rig) -> list[tuple[str, str]]:
    rows = [row.event for row in rig.books.events if row.event.type == "fw_changed"]
    return [(row.data["from"], row.data["to"]) for row in rows]


def test_mtr060_the_first_version_is_no_change() -> None:
    assert changes(Rig().run([hello("2.1.0", 0)], [hello("2.1.0", 1, 5)])) == []


def test_mtr060_a_change_has_place_and_receipt() -> None:
    rig = Rig().run([hello("2.1.0", 0), hello("2.2.0", 1, 5)])
    (row,) = [row for row in rig.books.events if row.event.type == "fw_changed"]
    assert row.event.data == {"from": "2.1.0", "to": "2.2.0"}
    assert (row.family, row.event.device_id) == ("meter", "m1")
    assert row.event.time_ns == row.received_at_ns == 1_772_366_405_000_000_000
    assert row.position & 0xFFFF == 1


def test_mtr060_exactly_once_over_crashes_before_and_after_the_snapshot() -> None:
    for pause_s in (0.01, 100.0):
        rig = Rig()
        versions = ("1", "2", "2", "1", "3")
        for n, version in enumerate(versions):
            rig.append(hello(version, None if n % 2 else n, n * 20.0))
            rig.clock.advance(pause_s)
            rig.pump().drain()
        assert changes(rig) == [("1", "2"), ("2", "1"), ("1", "3")], pause_s


def test_mtr060_copies_change_nothing() -> None:
    again = hello("1", None, 0)
    numbered = hello("1", 4, 1)
    rig = Rig().run(
        [again, numbered, hello("2", 5, 2)],
        [Sent(again.topic, again.payload, 3, 1 | DUP), Sent(numbered.topic, numbered.payload, 4)],
        [hello("2", 6, 5)],
    )
    assert changes(rig) == [("1", "2")]
    duplicates = {t.detail: n for t, n in rig.books.counts.items() if t.outcome == "duplicate"}
    assert duplicates == {"redelivery": 1, "seq": 1}


def test_mtr060_what_the_registry_knows_is_known() -> None:
    rig = Rig()
    rig.books.devices["m1"] = DeviceTouch(fw_version="2.0.0")
    rig.run([hello("2.1.0", 0)], [hello("2.1.0", 1, 5)])
    assert changes(rig) == [("2.0.0", "2.1.0")]


class Edited(MemoryLedger):
    """A ledger whose registry is edited by a person just before the first commit."""

    is_edited = False

    def commit(self, effects: Effects) -> Committed:
        if not self.is_edited:
            self.is_edited = True
            self.books.devices["m1"] = DeviceTouch(fw_version="1.9.0")
            self.books.registry_version += 1
        return super().commit(effects)


def test_mtr060_a_registry_that_moves_meanwhile_is_read_again() -> None:
    rig = Rig(books=LedgerBooks())
    rig.books.devices["m1"] = DeviceTouch(fw_version="2.1.0")
    rig.append(hello("2.1.0", 0))
    rig.pump(ledger=Edited(rig.books)).drain()
    assert changes(rig) == [("1.9.0", "2.1.0")]
