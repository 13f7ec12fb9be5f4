"""The codec of docs/howto/add-a-device.md: short, whole, and at home beside the built-in ones."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.codec_weather.weather import FAMILY, WeatherCodec
from millrace.adapters.fleet_sql import SqlFleet
from millrace.adapters.ledger_sqlite import SqliteLedger
from millrace.codecs import built_in
from millrace.decode.redelivery import RedeliveryMemory
from millrace.decode.router import Router
from millrace.decode.sequence import SequenceTracker
from millrace.decode.step import decode as decode_step
from millrace.errors import RejectError
from millrace.middle import Middle
from millrace.model.decoded import Decoded
from millrace.model.device import unknown
from millrace.model.message import RawBatch
from millrace.model.series import SeriesBook
from millrace.model.work import gather
from millrace.store.sqlite import migrate
from millrace.store.tables import open_tables
from tests.architecture.documents import ROOT, blocks
from tests.codecs.outcome import compare, decode, instant

FOLDER = ROOT / "examples" / "codec_weather"
CASES = sorted(path.parent for path in FOLDER.glob("cases/*/topic"))
TOPIC = "weather/hill-3/obs"


@pytest.mark.parametrize("repeat", [1, 2], ids=["first", "warm"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Path, repeat: int) -> None:
    expected: dict[str, Any] = json.loads((case / "expected.json").read_text())
    got = decode(
        WeatherCodec(),
        (case / "topic").read_text().rstrip("\n"),
        (case / "payload").read_bytes(),
        instant(expected["received_at"]),
        unknown("hill-3", FAMILY),
        repeat=repeat,
    )
    compare(expected, got)


@given(payload=st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_readings_or_a_reject(payload: bytes) -> None:
    out = Decoded()
    plan = WeatherCodec().compile(TOPIC, unknown("hill-3", FAMILY), SeriesBook())
    try:
        plan.decode(payload, instant("2026-03-01T12:00:00Z"), 0, out)
    except RejectError:
        assert not out.slots
    assert sum(out.run_counts) == len(out.slots) == len(out.values)


def test_it_takes_its_topics_and_leaves_those_of_others() -> None:
    router = Router((WeatherCodec(), *built_in()), SeriesBook())
    assert router.address(TOPIC) == ("weather", "telemetry", "hill-3")
    assert router.address("sensors/temperature/attic").family == "sensors"
    for topic, reason in (("weather/hill-3", "bad_topic"), ("weather/ä/obs", "bad_device_id")):
        with pytest.raises(RejectError, match=reason):
            router.address(topic)


def test_messages_pass_through_the_decode_step() -> None:
    router = Router((WeatherCodec(), *built_in()), SeriesBook())
    batch = RawBatch(0, 0)
    batch.add(TOPIC, (FOLDER / "cases" / "usual" / "payload").read_bytes(), 1_772_366_400 * 10**9)
    wanted = router.missing(batch.topics)
    router.learn(wanted, {key: unknown(key[1], key[0]) for key in wanted})
    work = decode_step(gather([batch], 1), router)
    assert work.labels == [("weather", "telemetry")]
    assert len(work.decoded.values) == 3
    assert work.unknown == [0]


def test_a_device_that_nobody_registered_gets_its_row(tmp_path: Path) -> None:
    migrate(tmp_path / "millrace.db")
    book = SeriesBook()
    router = Router((WeatherCodec(), *built_in()), book)
    middle = Middle(router, book, SequenceTracker(), RedeliveryMemory())
    batch = RawBatch(0, 0)
    batch.add(TOPIC, (FOLDER / "cases" / "usual" / "payload").read_bytes(), 1_772_366_400 * 10**9)
    with (
        closing(SqliteLedger(tmp_path / "millrace.db")) as ledger,
        closing(SqlFleet(open_tables(tmp_path / "millrace.db"))) as fleet,
    ):
        ledger.claim("process", "s", [0])
        wanted = middle.missing([batch])
        middle.learn(wanted, fleet.profiles(list(wanted)), [])
        effects = middle.process(
            [batch],
            registry_version=fleet.version(),
            now_ns=1_772_366_400 * 10**9,
            reader="process",
            stream="s",
        )
        ledger.commit(effects)
        assert fleet.profiles([("weather", "hill-3")])["weather", "hill-3"].is_known


def test_it_is_the_codec_that_the_document_shows() -> None:
    text = (FOLDER / "weather.py").read_text()
    assert len(text.splitlines()) < 100
    (shown, *_) = blocks(ROOT / "docs" / "howto" / "add-a-device.md", "python")
    assert shown.text == text
