"""Who has which partition: members of a real group. Source: architecture.md 5; F20, F23."""

import time
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from millrace.adapters.log_kafka import KafkaCluster, KafkaMember, RawTopic
from millrace.adapters.log_kafka.topics import ensure
from millrace.errors import StopError
from tests.servers.kafka import Kafka

pytestmark = pytest.mark.services

PARTITIONS = 4
ALL = frozenset(range(PARTITIONS))
SESSION_S = 2.0
_numbers = count(1)

Join = Callable[[str], KafkaMember]


@pytest.fixture
def join(kafka: Kafka) -> Iterator[Join]:
    """Return how to join the group of this test under a name."""
    cluster, topic = KafkaCluster(kafka.servers), RawTopic(f"m{next(_numbers)}_raw", PARTITIONS)
    ensure(cluster.admin(), topic)
    members: list[KafkaMember] = []

    def joined(name: str) -> KafkaMember:
        group = f"group-{topic.name}"
        member = KafkaMember(cluster, topic.name, group, instance=name, session_s=SESSION_S)
        members.append(member)
        return member

    yield joined
    for member in members:
        member.close()


def until(what: Callable[[], bool], *members: KafkaMember, timeout_s: float = 30.0) -> None:
    """Let members go on until something is so."""
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline
        for member in members:
            member.partitions(0.05)


def shared(one: KafkaMember, two: KafkaMember) -> bool:
    """Say whether the two have everything, nothing twice, and half each."""
    first, second = one.partitions(), two.partitions()
    return first | second == ALL and not first & second and len(first) == len(second)


def test_f20_partitions_are_shared_and_come_back(join: Join) -> None:
    one = join("one")
    until(lambda: one.partitions() == ALL, one)
    two = join("two")
    until(lambda: shared(one, two), one, two)
    two.close()
    until(lambda: one.partitions() == ALL, one)


def test_f23_who_is_busy_for_longer_than_its_session_keeps_its_share(join: Join) -> None:
    one, two = join("one"), join("two")
    until(lambda: shared(one, two), one, two)
    before = one.partitions()
    over = time.monotonic() + 3 * SESSION_S
    until(lambda: time.monotonic() > over, two)
    assert two.partitions() == ALL - before
    assert one.partitions() == before


def test_f20_who_starts_again_under_its_name_moves_nothing(join: Join) -> None:
    one, two = join("one"), join("two")
    until(lambda: shared(one, two), one, two)
    here, there = one.partitions(), two.partitions()
    one.close()
    again = join("one")
    until(lambda: again.partitions() == here, again, two)
    assert two.partitions() == there


def test_p5_the_older_of_two_with_one_name_is_stopped(join: Join) -> None:
    older = join("one")
    until(lambda: older.partitions() == ALL, older)
    newer = join("one")
    with pytest.raises(StopError):
        until(lambda: False, newer, older)
    until(lambda: newer.partitions() == ALL, newer)
