"""Decoding a batch: routes, refusals, totality."""

import pytest

from millrace.decode.registration import Registration
from millrace.decode.router import Router
from millrace.decode.step import decode
from millrace.errors import RejectError
from millrace.model.device import DeviceProfile, unknown
from millrace.model.message import TICK, RawBatch
from millrace.model.series import SeriesBook
from millrace.model.work import Work, gather
from tests.decode.toy import ToyCodec


def routed(router: Router, *batches: RawBatch, known: bool = True) -> Work:
    topics = {topic for batch in batches for topic in batch.topics}
    wanted = router.missing(topics)
    profiles = {
        key: DeviceProfile(key[1], key[0]) if known else unknown(key[1], key[0]) for key in wanted
    }
    router.learn(wanted, profiles)
    return decode(gather(list(batches), 1), router)


def batch(*messages: tuple[str, bytes], first: int = 0) -> RawBatch:
    made = RawBatch(0, first)
    for n, (topic, payload) in enumerate(messages):
        made.add(topic, payload, 1000 + n)
    return made


@pytest.fixture
def router() -> Router:
    return Router([ToyCodec()], SeriesBook())


def test_readings_know_their_message(router: Router) -> None:
    work = routed(router, batch(("toy/a", b"1 2"), ("toy/b", b"3")), batch(("toy/a", b"4")))
    assert work.decoded.values == [1, 2, 3, 4]
    assert work.decoded.run_messages == [0, 0, 1, 2]
    assert work.device_ids == ["a", "b", "a"]
    assert work.labels == [("toy", "telemetry")] * 3
    assert work.bases == [0, 2]


def test_refused_message_leaves_one_letter_and_nothing_else(router: Router) -> None:
    work = routed(router, batch(("toy/a", b"1 odd hello bad"), ("toy/a", b"2")))
    assert work.decoded.values == [2]
    assert work.decoded.events == []
    assert [(x.reason, x.element, x.message) for x in work.decoded.dead_letters] == [
        ("bad_json", "", 0)
    ]
    assert work.rejected == {0: "bad_json"}


def test_bug_in_a_codec_costs_one_message(router: Router) -> None:
    work = routed(router, batch(("toy/a", b"1 boom"), ("toy/a", b"2")))
    assert work.decoded.values == [2]
    assert work.rejected == {0: "decoder_error"}
    assert work.decoded.dead_letters[0].detail == "ZeroDivisionError"


def test_d51_first_level_chooses_the_family(router: Router) -> None:
    work = routed(router, batch(("toy/a/b", b"1"), ("other/a", b"1")))
    assert work.rejected == {0: "bad_topic", 1: "unknown_topic"}
    assert work.labels == [("toy", "other"), ("generic", "other")]


def test_ticks_say_nothing(router: Router) -> None:
    ticks = RawBatch(0, 0)
    ticks.add("", b'{"ingest":"a"}', 1, flags=TICK)
    work = routed(router, ticks)
    assert work.labels == [("", "")]
    assert not work.decoded.dead_letters


def test_reg104_unknown_devices_are_decoded_and_named(router: Router) -> None:
    work = routed(router, batch(("toy/a", b"1"), ("toy/b", b"2")), known=False)
    assert work.unknown == [0, 1]
    assert work.decoded.values == [1, 2]


def test_reg104_required_registration_refuses_unknown_devices() -> None:
    router = Router([ToyCodec()], SeriesBook(), registration={"toy": "required"})
    work = routed(router, batch(("toy/a", b"1")), known=False)
    assert work.rejected == {0: "unknown_device"}


@pytest.mark.parametrize("device_id", ["dev-12", ":.-", "a" * 129])
def test_reg120_ids_that_no_row_can_hold_are_refused(router: Router, device_id: str) -> None:
    work = routed(router, batch((f"toy/{device_id}", b"1")), known=False)
    assert work.rejected == {0: "bad_device_id"}


def test_reg062_decommissioned_devices_are_refused(router: Router) -> None:
    wanted = router.missing(["toy/a"])
    router.learn(wanted, {("toy", "a"): DeviceProfile("a", "toy", status="decommissioned")})
    assert decode(gather([batch(("toy/a", b"1"))], 1), router).rejected == {0: "decommissioned"}


def test_d25_routes_fall_by_device(router: Router) -> None:
    routed(router, batch(("toy/a", b"1"), ("toy/b", b"1")))
    router.forget(["a"])
    assert set(router.routes) == {"", "toy/b"}
    router.forget(None)
    assert set(router.routes) == {""}


def test_routes_are_bounded() -> None:
    router = Router([ToyCodec()], SeriesBook(), max_routes=100)
    for n in range(1000):
        routed(router, batch((f"toy/{n}", b"1"), (f"nobody/{n}", b"1")))
    assert len(router.routes) <= 101


def test_mtr045_cardinality_is_bounded_per_device() -> None:
    router = Router([ToyCodec()], SeriesBook(max_per_device=2))
    work = routed(router, batch(("toy/a", b"1 2"), ("toy/a", b"1 2 3"), ("toy/b", b"1 2")))
    assert work.rejected == {1: "cardinality"}


def test_address_says_which_family_refused(router: Router) -> None:
    with pytest.raises(RejectError) as caught:
        router.address("nobody/a")
    assert (caught.value.reason, caught.value.element) == ("unknown_topic", "generic")


def test_f41_cardinality_is_bounded_in_all() -> None:
    router = Router([ToyCodec()], SeriesBook(max_total=3))
    work = routed(router, batch(("toy/a", b"1 2"), ("toy/b", b"1"), ("toy/c", b"1")))
    assert work.rejected == {2: "cardinality"}


def test_d27_rows_are_limited_but_readings_are_not() -> None:
    router = Router([ToyCodec()], SeriesBook())
    messages = [(f"toy/{name}", b"1") for name in "aab"]
    work = routed(router, batch(*messages), known=False)
    assert len(work.decoded.values) == 3
    assert work.unknown == [0, 1, 2]
    assert Registration(rows_left=1).grant(work) == {0: 0}
