"""Redelivered messages without a number (MTR-058, D-16)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.decode.redelivery import RedeliveryMemory
from millrace.model.message import DUP, RawBatch

MS = 1_000_000
SECOND_MS = 1_000

Sent = tuple[str, bytes, int, bool]


def batch_of(sent: list[Sent], partition: int = 0) -> RawBatch:
    made = RawBatch(partition)
    for topic, payload, at_ms, is_marked in sent:
        made.add(topic, payload, at_ms * MS, flags=1 | (DUP if is_marked else 0))
    return made


def test_only_marked_copies_within_ten_seconds() -> None:
    memory = RedeliveryMemory()
    sent = [
        ("a", b"x", 0, False),
        ("a", b"x", 1 * SECOND_MS, False),
        ("a", b"x", 11 * SECOND_MS, True),
        ("a", b"x", 21 * SECOND_MS + 1, True),
        ("a", b"y", 21 * SECOND_MS + 2, True),
        ("b", b"x", 21 * SECOND_MS + 3, True),
    ]
    assert memory.observe(batch_of(sent)) == [2]


def test_copies_are_known_over_batches_and_only_within_their_partition() -> None:
    memory = RedeliveryMemory()
    first, copy = ("a", b"x", 0, False), ("a", b"x", 9_000, True)
    assert memory.observe(batch_of([first], 1)) == []
    assert memory.observe(batch_of([("z", b"", 3_600_000, False)], 0)) == []
    assert memory.observe(batch_of([copy], 2)) == []
    assert memory.observe(batch_of([copy], 1)) == [0]


def test_numbered_messages_are_not_looked_up() -> None:
    memory = RedeliveryMemory()
    copies = [("a", b"x", 0, True)] * 3
    assert memory.observe(batch_of(copies), {1}) == [2]


def test_empty_batch_and_topic_swapped_with_payload() -> None:
    memory = RedeliveryMemory()
    assert memory.observe(RawBatch()) == []
    assert memory.observe(batch_of([("a", b"b", 0, False), ("b", b"a", 1, True)])) == []


def test_memory_is_bounded_and_keeps_the_newest() -> None:
    memory = RedeliveryMemory(max_bytes=16 * 100)
    for n in range(50):
        memory.observe(batch_of([(f"{n}-{k}", b"", n, False) for k in range(10)]))
    recent = memory._recent[0]
    assert recent.messages == sum(len(chunk.hashes) for chunk in recent.chunks) <= 100
    assert memory.observe(batch_of([("49-3", b"", 60, True), ("0-3", b"", 60, True)])) == [0]


def test_what_is_too_old_is_forgotten() -> None:
    memory = RedeliveryMemory()
    for n in range(100):
        memory.observe(batch_of([("a", b"x", n * SECOND_MS, False)]))
    assert len(memory._recent[0].chunks) == 11


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.sampled_from([b"x", b"y"]),
            st.sampled_from([0, 1, 4_000, 9_999, 10_000, 10_001]),
            st.booleans(),
        ),
        max_size=20,
    ),
    st.sets(st.integers(1, 20)),
)
def test_rule_holds_whatever_the_batch_cuts(steps: list[Sent], cuts: set[int]) -> None:
    sent: list[Sent] = []
    now_ms, expected = 0, []
    for topic, payload, wait_ms, is_marked in steps:
        now_ms += wait_ms
        copies = [s for s in sent if s[:2] == (topic, payload) and now_ms - s[2] <= 10_000]
        if is_marked and copies:
            expected.append(len(sent))
        sent.append((topic, payload, now_ms, is_marked))
    memory, got, at = RedeliveryMemory(), [], 0
    for cut in sorted({c for c in cuts if c < len(sent)} | {len(sent)}):
        got += [at + i for i in memory.observe(batch_of(sent[at:cut]))]
        at = cut
    assert got == expected
