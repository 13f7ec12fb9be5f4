"""The retained tree and the routes against the plain meaning of a filter."""

from hypothesis import given
from hypothesis import strategies as st

from millrace.adapters.broker_endpoint.limits import EndpointLimits
from millrace.adapters.broker_endpoint.records import SubscriptionRecord
from millrace.adapters.broker_endpoint.retained import RetainedMessages
from millrace.adapters.broker_endpoint.routes import Routes
from millrace.adapters.broker_endpoint.session import Message, Session
from millrace.mqtt.topics import matches

LEVELS = st.sampled_from(["a", "b", "", "$SYS"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = st.tuples(
    st.lists(st.one_of(LEVELS, st.just("+")), max_size=3), st.sampled_from(["#", "+", "a"])
).map(lambda parts: "/".join([*parts[0], parts[1]]))


@given(st.lists(TOPICS), st.lists(TOPICS), FILTERS)
def test_retained_messages_are_found_as_the_filter_says(
    kept: list[str], dropped: list[str], name: str
) -> None:
    store = RetainedMessages(EndpointLimits())
    for topic in kept:
        store.put(Message(topic, topic.encode(), 0))
    for topic in dropped:
        had = store.get(topic) is not None
        assert store.remove(topic) == had
    left = set(kept) - set(dropped)
    assert {message.topic for message in store.find(name)} == {t for t in left if matches(name, t)}
    assert store.count == len(left)
    assert store.size_bytes == sum(len(topic) for topic in left)
    assert all((store.get(topic) is not None) == (topic in left) for topic in kept + dropped)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2), FILTERS)), st.lists(TOPICS))
def test_routes_follow_every_change(
    changes: list[tuple[bool, int, str]], topics: list[str]
) -> None:
    routes = Routes()
    sessions = [Session(f"s{i}", "", 5, i) for i in range(3)]
    for is_added, number, name in changes:
        session = sessions[number]
        if is_added:
            routes.add(session, SubscriptionRecord(name, 1, False, False, 0))  # noqa: FBT003 - a record
        else:
            routes.remove(session, name)
        for topic in topics:
            wanted = {s for s in sessions if any(matches(n, topic) for n in s.subscriptions)}
            assert {target.session for target in routes.find(topic).targets} == wanted
            assert routes.is_quiet(topic) == (not wanted)
    assert routes.durable == sum(len(s.subscriptions) for s in sessions if s.is_durable)
