"""What work comes to: counts, names, letters, devices. Source: D-23, D-24, D-27, D-52, MON-030."""

import json
from collections import Counter
from collections.abc import Sequence

import pytest

from millrace.codecs import built_in
from millrace.decode.registration import Registration
from millrace.decode.router import Router
from millrace.decode.step import decode
from millrace.model.device import DeviceProfile, unknown
from millrace.model.message import RawBatch
from millrace.model.series import SeriesBook, SeriesKey
from millrace.model.work import Committed, Effects, Tally, Work, gather
from millrace.record.step import name, position_of, record

NOW = 1_772_366_400_000_000_000
GOOD = b'{"seq":1,"msg_type":"telemetry","measurements":[{"type":"x","val":1,"unit":"V"}]}'
HELLO = b'{"seq":1,"msg_type":"hello","fw_version":"2.1.0"}'


class Desk:
    """A book and a router that outlive batches, as they do in the middle."""

    def __init__(self, *known: str) -> None:
        self.book = SeriesBook()
        self.router = Router(built_in(), self.book)
        self._known = known

    def work(self, *batches: RawBatch) -> Work:
        wanted = self.router.missing({topic for batch in batches for topic in batch.topics})
        profiles = {
            (family, device): DeviceProfile(device, family)
            if device in self._known
            else unknown(device, family)
            for family, device in wanted
        }
        self.router.learn(wanted, profiles)
        work = decode(gather(list(batches), 7), self.router)
        work.registering = Registration().grant(work)
        return work

    def effects(self, *batches: RawBatch) -> Effects:
        return recorded(self.work(*batches), self.book)


def recorded(work: Work, book: SeriesBook) -> Effects:
    return record(work, book, reader="process", stream="raw", now_ns=NOW)


def batch(
    messages: Sequence[tuple[str, bytes]], *, partition: int = 0, first: int = 0, flags: int = 1
) -> RawBatch:
    made = RawBatch(partition, first)
    for n, (topic, payload) in enumerate(messages):
        made.add(topic, payload, NOW + n, flags=flags)
    return made


def element(value: bytes) -> tuple[str, bytes]:
    return "iot/m1/telemetry", b'{"measurements":[{"type":"x","val":%s}]}' % value


@pytest.mark.parametrize(
    ("topic", "payload", "expected"),
    [
        ("iot/m1/telemetry", GOOD, ("stored", "meter", "telemetry")),
        ("iot/m1/hello", HELLO, ("stored", "meter", "hello")),
        ("iot/m1/telemetry", b"{}", ("stored", "meter", "telemetry")),
        (*element(b'1},{"type":"y"'), ("stored", "meter", "telemetry")),
        (*element(b'"text"'), ("dead_letter", "meter", "bad_value")),
        ("iot/m1/telemetry", b"x", ("dead_letter", "meter", "bad_json")),
        ("iot/m1/hello", b'{"fw_version":"2","uptime_s":-1}', ("stored", "meter", "hello")),
        ("sensors/temperature/s1", b'{"location":"L","data":{"temperature_celsius":"warm"}}',
         ("dead_letter", "sensors", "bad_value")),
        ("sensors/temperature/s1", b'{"data":{"temperature_celsius":1,"latitude":"x"}}',
         ("stored", "sensors", "sensor")),
        ("nobody", b"1", ("dead_letter", "generic", "unknown_topic")),
        ("iot/m1", b"{}", ("dead_letter", "meter", "bad_topic")),
    ],
)  # fmt: skip
def test_d52_each_message_has_one_outcome(
    topic: str, payload: bytes, expected: tuple[str, str, str]
) -> None:
    assert Desk().effects(batch([(topic, payload)])).counts == {Tally(*expected): 1}


def test_mon030_outcomes_add_up_over_partitions_and_families() -> None:
    desk = Desk()
    work = desk.work(
        batch([("iot/m1/telemetry", GOOD), ("nobody", b"1"), ("iot/m1/telemetry", GOOD)]),
        batch([("sensors/gps/s1", b"{}"), ("iot/m2/telemetry", b"\xff")], partition=3, first=50),
    )
    work.duplicates[2] = "seq"
    counts = recorded(work, desk.book).counts
    assert counts == Counter(
        {
            Tally("stored", "meter", "telemetry"): 1,
            Tally("duplicate", "meter", "seq"): 1,
            Tally("dead_letter", "generic", "unknown_topic"): 1,
            Tally("dead_letter", "meter", "not_utf8"): 1,
            Tally("stored", "sensors", "sensor"): 1,
        }
    )
    assert counts.total() == len(work)


def test_d24_new_series_travel_with_local_ids_until_the_ledger_names_them() -> None:
    desk = Desk()
    two = json.dumps({"measurements": [{"type": "a", "val": 1}, {"type": "b", "val": 2}]}).encode()
    first = desk.effects(batch([("iot/m1/telemetry", two)]))
    keys = [new.key for new in first.new_series]
    assert sorted(keys) == [SeriesKey("m1", "a", ""), SeriesKey("m1", "b", "")]
    local = first.readings.series.tolist()
    assert sorted(local) == [-2, -1]
    assert [keys[-n - 1].metric for n in local] == metrics(first)
    assert set(first.readings.attr.tolist()) == {-1}
    assert len(first.new_attributes) == 1
    ids = [40 if key.metric == "a" else 41 for key in keys]
    name(first, Committed(1, 7, ids, [9]), desk.book, range(len(desk.book.slots)))
    assert first.readings.series.tolist() == [40 if m == "a" else 41 for m in metrics(first)]
    assert first.readings.attr.tolist() == [9, 9]
    again = desk.effects(batch([("iot/m1/telemetry", two)], first=1))
    assert sorted(again.readings.series.tolist()) == [40, 41]
    assert again.new_series == []


def metrics(effects: Effects) -> list[str]:
    return ["a" if value == 1 else "b" for value in effects.readings.value.tolist()]


def test_d24_a_commit_that_failed_leaves_no_name_behind() -> None:
    desk = Desk()
    for _ in range(2):
        effects = desk.effects(batch([("iot/m1/telemetry", GOOD)]))
        assert effects.readings.series.tolist() == [-1]
        assert len(effects.new_series) == 1


def test_positions_and_receipts_belong_to_the_message() -> None:
    effects = Desk().effects(
        batch([("iot/m1/telemetry", b"x"), ("iot/m1/telemetry", GOOD)], first=10),
        batch([("iot/m2/telemetry", GOOD)], partition=5, first=99),
    )
    assert effects.readings.position.tolist() == [position_of(0, 11), position_of(5, 99)]
    assert effects.readings.received_at_ns.tolist() == [NOW + 1, NOW]
    moves = [(m.partition, m.expected, m.next_offset) for m in effects.advances]
    assert moves == [(0, 10, 12), (5, 99, 100)]
    (letter,) = effects.letters
    assert (letter.partition, letter.offset, letter.payload) == (0, 10, b"x")


def test_nothing_to_do_has_no_effects() -> None:
    effects = recorded(gather([], 7), SeriesBook())
    assert not effects.counts
    assert not effects.advances
    assert len(effects.readings) == 0


def test_reg104_mtr007_a_device_is_discovered_once_with_what_it_said() -> None:
    body = b'{"device_type":"thermometer","location":"Depot","data":{"temperature_celsius":1}}'
    messages = [("sensors/temperature/s1", b"{}"), ("sensors/temperature/s1", body)]
    effects = Desk("m1").effects(batch([("iot/m1/telemetry", GOOD), *messages, *messages], first=4))
    (found,) = effects.discovered
    assert (found.device_id, found.family, found.first_seen_ns) == ("s1", "sensors", NOW + 1)
    assert (found.position, found.location) == (position_of(0, 5), "Depot")
    first = effects.events[0]
    assert (first.event.type, first.position) == ("device_discovered", position_of(0, 5))
    assert Counter(row.event.type for row in effects.events)["device_discovered"] == 1
