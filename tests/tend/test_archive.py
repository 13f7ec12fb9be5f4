"""The archiver: layouts, segments, names, what is left out, and the way back."""

import base64
import json
from datetime import UTC, datetime
from random import Random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.adapters.archive_memory import MemoryArchive
from millrace.adapters.log_memory import MemoryLog
from millrace.errors import GoneError, NotFoundError, RejectError, StopError
from millrace.flow.archive import LAYOUTS, ArchivedMessage, ArchiveReader
from millrace.flow.archive.names import decode_id, encode_id, rfc3339, rfc3339_ns
from millrace.model.message import RETAIN, TICK, RawBatch
from millrace.ports.archive import ArchivePositions
from millrace.ports.series import Span
from millrace.tend.archive import ArchiveOptions, Archiver, ArchiveSources
from tests.contracts.archive_positions import (
    ArchivePositionsContract,
    MemoryOutcomes,
    MemoryPositions,
)

SECOND_NS = 1_000_000_000
NOON_NS = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * SECOND_NS + 416_368_000
ALWAYS = Span(0, 2**62)
FOREVER_NS = NOON_NS + 86_400 * SECOND_NS * 10


class TestMemoryPositions(ArchivePositionsContract):
    @pytest.fixture(autouse=True)
    def _kept(self) -> None:
        self.kept = MemoryPositions()

    def make_positions(self) -> ArchivePositions:
        return self.kept


def address_of(topic: str) -> tuple[str, str] | None:
    if topic.startswith("bad/"):
        raise RejectError("bad_topic")
    device_id, _, category = topic.partition("/")
    return (device_id, category) if category else None


class Rig:
    """A log, its outcomes and an archive."""

    def __init__(self, layout: str = "device", **options: int) -> None:
        self.layout = layout
        self.log = MemoryLog(partitions=2)
        self.positions = MemoryPositions()
        self.outcomes = MemoryOutcomes()
        self.archive = MemoryArchive()
        self.options = ArchiveOptions(layout, **options)
        self.archiver = self.make_archiver()

    def make_archiver(self, *, is_pressed: bool = False) -> Archiver:
        sources = ArchiveSources(
            self.log, self.positions, self.outcomes, address_of, is_pressed=lambda: is_pressed
        )
        return Archiver(sources, self.archive, self.options)

    def add(
        self,
        topic: str,
        payload: bytes,
        at_ns: int = NOON_NS,
        *,
        partition: int = 0,
        flags: int = 1,
    ) -> None:
        batch = RawBatch(partition)
        batch.add(topic, payload, at_ns, flags=flags)
        self.log.append([batch])
        self.outcomes.decided_to[partition] = self.log.extents()[partition].end

    def object_keys(self) -> list[str]:
        return [one.key for one in self.archive.list("") if not one.key.startswith("manifest=")]

    def reader(self) -> ArchiveReader:
        return ArchiveReader(self.archive, self.layout)


def test_mtr131_one_document_per_message() -> None:
    rig = Rig("message")
    rig.add("dc-meter-001/telemetry", b'{"v": 1.5}', flags=1 | RETAIN)
    rig.add("dc-meter-001/telemetry", b"\xff")
    rig.add("dc-meter-001/telemetry", b"[NaN]")
    assert rig.archiver.run_once(NOON_NS, flush=True) == 1
    name = "dc-meter-001/telemetry/2026-03-01T12-00-00.416368"
    assert rig.object_keys() == [f"{name}-1.json", f"{name}-2.json", f"{name}.json"]
    text = rig.archive.get(f"{name}.json").decode()
    assert text.startswith('{\n  "device_id": "dc-meter-001",\n')
    assert json.loads(text) == {
        "device_id": "dc-meter-001",
        "timestamp": "2026-03-01T12:00:00.416368Z",
        "category": "telemetry",
        "data": {"v": 1.5},
        "topic": "dc-meter-001/telemetry",
        "qos": 1,
        "retain": True,
        "position": "0-0",
        "raw_b64": base64.b64encode(b'{"v": 1.5}').decode(),
    }
    assert json.loads(rig.archive.get(f"{name}-1.json"))["data"] is None
    assert json.loads(rig.archive.get(f"{name}-2.json"))["data"] is None


def test_archiver_stops_after_a_segment_when_the_pump_is_behind() -> None:
    rig = Rig("device", segment_bytes=10)
    for n in range(3):
        rig.add("m-1/telemetry", b"0123456789", NOON_NS + n * SECOND_NS)
    assert rig.make_archiver(is_pressed=True).run_once(FOREVER_NS) == 1
    assert rig.archiver.run_once(FOREVER_NS) == 2


def test_mtr132_lines_per_device_and_category() -> None:
    rig = Rig("device")
    rig.add("m-1/telemetry", "grün\n".encode())
    rig.add("m-1/telemetry", b"\xff\x00", NOON_NS + 1500)
    rig.add("m-1/hello", b"{}")
    rig.archiver.run_once(NOON_NS, flush=True)
    first, second = "20260301T120000416368Z", "20260301T120000416369Z"
    assert rig.object_keys() == [
        f"m-1/hello/2026-03-01/{first}-{first}.jsonl.zst",
        f"m-1/telemetry/2026-03-01/{first}-{second}.jsonl.zst",
    ]
    lines = zstandard.decompress(rig.archive.get(rig.object_keys()[1])).splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "at": "2026-03-01T12:00:00.416368Z", "topic": "m-1/telemetry", "qos": 1,
            "retain": False, "position": "0-0", "payload": "grün\n",
        },
        {
            "at": "2026-03-01T12:00:00.416369500Z", "topic": "m-1/telemetry", "qos": 1,
            "retain": False, "position": "0-1", "payload_b64": "/wA=",
        },
    ]  # fmt: skip


def test_mtr132_objects_close_at_size_hour_and_midnight() -> None:
    rig = Rig("device", roll_bytes=100)
    for number in range(5):
        rig.add("m/telemetry", b"x" * 60, NOON_NS + number * 1000)
    rig.add("m/telemetry", b"y", NOON_NS + 3600 * SECOND_NS)
    rig.add("m/telemetry", b"z", NOON_NS + 12 * 3600 * SECOND_NS)
    assert rig.archiver.run_once(NOON_NS) == 2
    assert rig.archiver.run_once(NOON_NS, flush=True) == 1
    stamps = [key.rpartition("/")[2][:45] for key in rig.object_keys()]
    assert stamps == [
        "20260301T120000416368Z-20260301T120000416369Z",
        "20260301T120000416370Z-20260301T120000416371Z",
        "20260301T120000416372Z-20260301T120000416372Z",
        "20260301T130000416368Z-20260301T130000416368Z",
        "20260302T000000416368Z-20260302T000000416368Z",
    ]


def test_mtr133_parquet_for_large_fleets() -> None:
    rig = Rig("lake")
    rig.add("a/telemetry", b"1")
    rig.add("b/telemetry", b"2", NOON_NS + 1)
    rig.add("b/hello", b"3", NOON_NS + 2)
    rig.archiver.run_once(NOON_NS, flush=True)
    assert rig.object_keys() == [
        "category=hello/date=2026-03-01/hour=12/part-0-2-2.parquet",
        "category=telemetry/date=2026-03-01/hour=12/part-0-0-1.parquet",
    ]
    messages = LAYOUTS["lake"].unpack(rig.object_keys()[1], rig.archive.get(rig.object_keys()[1]))
    assert [(one.device_id, one.payload, one.received_at_ns) for one in messages] == [
        ("a", b"1", NOON_NS),
        ("b", b"2", NOON_NS + 1),
    ]


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_mtr134_duplicates_letters_ticks_and_strangers_are_left_out(layout: str) -> None:
    rig = Rig(layout)
    for number in range(4):
        rig.add("m/telemetry", str(number).encode(), NOON_NS + number * 1000)
    rig.add("m/telemetry", b"tick", flags=TICK)
    rig.add("nobody", b"x")
    rig.add("bad/topic", b"x")
    rig.outcomes.left_out[0] = {1, 3}
    rig.archiver.run_once(NOON_NS, flush=True)
    reader = rig.reader()
    assert [one.payload for one in reader.messages("m", ALWAYS)] == [b"2", b"0"]
    assert reader.at(0, 2).payload == b"2"
    for offset in (1, 3, 4, 5, 6):
        with pytest.raises(NotFoundError, match="not stored"):
            reader.at(0, offset)


def test_only_what_is_decided_is_archived() -> None:
    rig = Rig()
    for hour in range(4):
        rig.add("m/telemetry", b"x", NOON_NS + hour * 3600 * SECOND_NS)
    rig.outcomes.decided_to[0] = 2
    assert rig.archiver.run_once(FOREVER_NS) == 1
    assert rig.positions.position(0) == 1
    assert rig.archiver.run_once(FOREVER_NS) == 0
    rig.outcomes.decided_to[0] = 4
    assert rig.archiver.run_once(FOREVER_NS) == 3
    assert rig.positions.position(0) == 4


def test_a_silent_partition_is_closed_a_minute_behind_the_hour() -> None:
    rig = Rig()
    rig.add("m/telemetry", b"x", partition=1)
    end_ns = NOON_NS - 416_368_000 + 3600 * SECOND_NS
    assert rig.archiver.run_once(end_ns + 59 * SECOND_NS) == 0
    assert rig.archiver.run_once(end_ns + 60 * SECOND_NS) == 1
    assert rig.positions.position(1) == 1


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_d28_objects_depend_on_the_log_alone(layout: str) -> None:
    rigs = [Rig(layout, segment_bytes=700, roll_bytes=300) for _ in range(2)]
    random = Random(5)
    messages = [(f"m{random.randrange(3)}/telemetry", b"x" * random.randrange(80),
                 NOON_NS + number // 3 * 997) for number in range(120)]  # fmt: skip
    for number, message in enumerate(messages):
        rigs[0].add(*message)
        if number % 7 == 0:
            rigs[0].archiver.run_once(NOON_NS)
    for message in messages:
        rigs[1].add(*message)
    for rig in rigs:
        rig.archiver.run_once(NOON_NS, flush=True)
    contents = [{one.key: rig.archive.get(one.key) for one in rig.archive.list("")} for rig in rigs]
    assert contents[0] == contents[1]
    assert len(rigs[0].object_keys()) > 3


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_clock_that_is_set_back_overwrites_nothing(layout: str) -> None:
    rig = Rig(layout)
    for payload in (b"first", b"second", b"third"):
        rig.add("m/telemetry", payload)
        rig.archiver.run_once(NOON_NS, flush=True)
        rig.archiver = rig.make_archiver()
    reader = rig.reader()
    found = {one.payload for one in reader.messages("m", ALWAYS)}
    assert found == {b"first", b"second", b"third"}
    assert [reader.at(0, offset).payload for offset in range(3)] == [b"first", b"second", b"third"]


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_mtr136_every_message_by_name_by_position_and_by_time(layout: str) -> None:
    rig = Rig(layout, segment_bytes=2000, roll_bytes=500)
    random = Random(3)
    expected: list[ArchivedMessage] = []
    for number in range(200):
        device, category = f"dev/{random.randrange(3)}".replace("/", "-"), "telemetry"
        if random.random() < 0.2:
            category = "hello"
        at_ns = NOON_NS + number // 2 * 40 * SECOND_NS
        rig.add(f"{device}/{category}", str(number).encode(), at_ns)
        expected.append(
            ArchivedMessage(
                device, category, at_ns, f"{device}/{category}", 1, False, 0, number,  # noqa: FBT003 (retain)
                str(number).encode(),
            )
        )  # fmt: skip
    rig.archiver.run_once(FOREVER_NS)
    reader = rig.reader()
    for one in expected:
        assert reader.at(0, one.offset).payload == one.payload
    for device in ("dev-0", "dev-1", "dev-2"):
        mine = [one.payload for one in expected if one.device_id == device]
        newest = list(reader.messages(device, ALWAYS))
        assert [one.payload for one in newest] == mine[::-1]
        oldest = reader.messages(device, ALWAYS, descending=False)
        assert [one.payload for one in oldest] == mine
        assert len({one.filename for one in newest}) == len(newest)
        for one in newest[::7]:
            assert reader.message(device, one.category, one.stamp).payload == one.payload
        page = list(reader.messages(device, ALWAYS, after=newest[9].order))
        assert page == newest[10:]
        hello = [one for one in newest if one.category == "hello"]
        assert list(reader.messages(device, ALWAYS, prefix="hello/")) == hello
        assert list(reader.messages(device, ALWAYS, prefix="hel")) == hello
        span = Span(NOON_NS + 1800 * SECOND_NS, NOON_NS + 2400 * SECOND_NS)
        inside = [m for m in newest if span.start_ns <= m.received_at_ns < span.stop_ns]
        assert list(reader.messages(device, span)) == inside
    assert not list(reader.messages("dev-9", ALWAYS))
    for name in ("2026-03-01T12-00-00.000000", "x", "2026-03-01T12-00-00.416368-99"):
        with pytest.raises(NotFoundError):
            reader.message("dev-0", "telemetry", name)
    with pytest.raises(NotFoundError, match="not archived"):
        reader.at(0, 200)
    with pytest.raises(NotFoundError, match="not archived"):
        reader.at(1, 0)


def test_api042_what_retention_removed_is_gone() -> None:
    rig = Rig()
    rig.add("m/telemetry", b"x")
    rig.archiver.run_once(FOREVER_NS)
    rig.archive.delete(rig.object_keys()[0])
    with pytest.raises(GoneError):
        rig.reader().at(0, 0)


def test_f21_a_log_that_lost_messages_stops_the_archiver() -> None:
    rig = Rig()
    for hour in range(3):
        rig.add("m/telemetry", b"x", NOON_NS + hour * 3600 * SECOND_NS)
    rig.positions.positions[0] = 1
    rig.log.retire(before_ns=NOON_NS + 5 * 3600 * SECOND_NS, max_bytes=None, keep=[3, 0])
    with pytest.raises(StopError, match="removed from the log"):
        rig.make_archiver().run_once(FOREVER_NS)


def test_f21_a_partition_without_a_segment_is_held_and_never_skipped() -> None:
    rig = Rig()
    rig.archiver.hold_log()
    assert rig.positions.positions == {0: 0, 1: 0}
    for hour in range(3):
        rig.add("m/telemetry", b"x", NOON_NS + hour * 3600 * SECOND_NS)
    rig.log.retire(before_ns=NOON_NS + 5 * 3600 * SECOND_NS, max_bytes=None, keep=[2, 0])
    with pytest.raises(StopError, match="messages 0-0 to 0-1 were removed from the log"):
        rig.make_archiver().run_once(FOREVER_NS)


def test_an_archive_that_comes_late_begins_where_the_log_begins() -> None:
    rig = Rig()
    for hour in range(3):
        rig.add("m/telemetry", b"x", NOON_NS + hour * 3600 * SECOND_NS)
    rig.log.retire(before_ns=NOON_NS + 5 * 3600 * SECOND_NS, max_bytes=None, keep=[2, 0])
    rig.archiver.run_once(FOREVER_NS, flush=True)
    assert rig.archiver.counts.messages == 1


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_f9_a_damaged_object_is_named(layout: str) -> None:
    rig = Rig(layout)
    rig.add("m/telemetry", b"x" * 100)
    rig.archiver.run_once(FOREVER_NS)
    key = rig.object_keys()[0]
    rig.archive.put(key, rig.archive.get(key)[:-9])
    with pytest.raises(StopError, match="damaged"):
        list(rig.reader().messages("m", ALWAYS))


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_mtr130_a22_ids_are_safe_in_a_path(text: str) -> None:
    encoded = encode_id(text)
    assert encoded not in (".", "..")
    assert encoded.strip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.%") == ""
    assert decode_id(encoded) == text


@pytest.mark.parametrize(
    ("text", "encoded"),
    [("..", "%2E%2E"), (".", "%2E"), ("a.b", "a.b"), ("a/ü", "a%2F%C3%BC"), ("~x", "%7Ex")],
)
def test_mtr130_ids_are_percent_encoded_by_byte(text: str, encoded: str) -> None:
    assert encode_id(text) == encoded


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (NOON_NS, "2026-03-01T12:00:00.416368Z"),
        (NOON_NS + 7, "2026-03-01T12:00:00.416368007Z"),
        (NOON_NS - 368_000, "2026-03-01T12:00:00.416Z"),
    ],
)
def test_instants_have_the_shortest_fraction(time_ns: int, text: str) -> None:
    assert rfc3339(time_ns) == text
    assert rfc3339_ns(text) == time_ns
