"""Names and filters, and who gets what. F2-001, A4, A15."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.mqtt.reasons import TOPIC_FILTER_INVALID, ProtocolError
from millrace.mqtt.topics import TopicTree, check_filter, check_topic, matches, parse_shared

levels = st.sampled_from(["", "a", "b", "c", "$SYS"])
topics = st.lists(levels, min_size=1, max_size=4).map("/".join).filter(bool)
filter_levels = st.lists(st.sampled_from(["", "a", "b", "+", "$SYS"]), max_size=4)
filters = st.tuples(filter_levels, st.booleans()).map(
    lambda pair: "/".join([*pair[0], "#"] if pair[1] or not any(pair[0]) else pair[0])
)


@pytest.mark.parametrize(
    ("bad", "number", "offer"),
    [
        ("cmnd/f2-#", 2, "cmnd/+/+/+/+"),
        ("stat/f2-+/x", 2, "stat/+/+/+/+"),
        ("iot/+/#/x", 3, "iot/+/#"),
        ("iot/dev+/telemetry", 2, "iot/+/telemetry"),
        ("iot/dev#", 2, "iot/#"),
        ("a#", 1, "#"),
        ("$share/group/cmnd/f2-#", 2, "cmnd/+/+/+/+"),
    ],
)
def test_f2_001_a_forbidden_filter_names_the_level_and_offers_another(
    bad: str, number: int, offer: str
) -> None:
    with pytest.raises(ProtocolError) as caught:
        check_filter(bad)
    assert caught.value.reason_code == TOPIC_FILTER_INVALID
    assert f"level {number} " in caught.value.detail
    assert caught.value.detail.endswith(f"use {offer}")
    check_filter(offer)


@pytest.mark.parametrize(
    "good", ["#", "+", "+/+", "a//b", "/", "a/#", "+/#", "$SYS/#", "$share/g/#", "ä/+"]
)
def test_allowed_filters(good: str) -> None:
    check_filter(good)


@pytest.mark.parametrize("bad", ["", "a\0", "$share//a", "$share/g", "$share/g/", "$share/+/a"])
def test_other_forbidden_filters(bad: str) -> None:
    with pytest.raises(ProtocolError):
        check_filter(bad)


@pytest.mark.parametrize("bad", ["", "+", "a/#", "a+b", "\0", "x" * 65_536])
def test_forbidden_topics(bad: str) -> None:
    with pytest.raises(ProtocolError):
        check_topic(bad)


def test_a_topic_may_be_as_long_as_a_field() -> None:
    check_topic("x" * 65_535)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/monitor", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/monitor", True),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
        ("a/$SYS/+", "a/$SYS/b", True),
        ("a/b", "A/b", False),
    ],
)
def test_the_examples_of_the_standard(topic_filter: str, topic: str, *, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected
    tree: TopicTree[int] = TopicTree()
    tree.add(topic_filter, 1)
    assert tree.match(topic) == ((1,) if expected else ())


def test_shared_subscriptions_are_taken_apart() -> None:
    assert parse_shared("$share/g/a/+") == ("g", "a/+")
    assert parse_shared("a/+") == (None, "a/+")
    assert parse_shared("$shared/g/a") == (None, "$shared/g/a")


operations = st.lists(
    st.tuples(st.booleans(), filters, st.integers(0, 3)) | topics, min_size=1, max_size=40
)


@settings(max_examples=200, deadline=None)
@given(operations)
def test_the_tree_agrees_with_a_list(steps: list[tuple[bool, str, int] | str]) -> None:
    tree: TopicTree[int] = TopicTree()
    model: set[tuple[str, int]] = set()
    for step in steps:
        if isinstance(step, str):
            expected = {who for topic_filter, who in model if matches(topic_filter, step)}
            found = tree.match(step)
            assert len(found) == len(set(found))
            assert set(found) == expected
            continue
        is_added, topic_filter, who = step
        entry = (topic_filter, who)
        if is_added:
            assert tree.add(topic_filter, who) is (entry not in model)
            model.add(entry)
        else:
            assert tree.remove(topic_filter, who) is (entry in model)
            model.discard(entry)
        assert len(tree) == len(model)
