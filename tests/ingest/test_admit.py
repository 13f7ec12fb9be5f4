"""Admission keeps order, extras and counts, whatever the number of partitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.ingest.admit import Admission
from millrace.model.message import RawBatch
from millrace.model.partition import murmur2, partition_of
from tests.decode.toy import ToyCodec


@given(st.lists(st.sampled_from("abcdefgh"), max_size=50), st.integers(1, 5))
def test_order_and_columns_survive_the_split(devices: list[str], partitions: int) -> None:
    messages = RawBatch()
    for n, device in enumerate(devices):
        messages.add(f"toy/{device}", b"%d" % n, n, flags=n % 3, client_id=device, packet_id=n)
        messages.extras[n] = b"x%d" % n
    admitted = Admission([ToyCodec()], partitions).admit(messages)
    for batch in admitted.batches:
        batch.first_offset = 100
    for n, (partition, offset) in enumerate(admitted.placed()):
        batch = next(b for b in admitted.batches if b.partition == partition)
        i = offset - 100
        assert partition == partition_of(devices[n], partitions)
        assert (batch.topics[i], batch.payloads[i]) == (f"toy/{devices[n]}", b"%d" % n)
        assert (batch.client_ids[i], batch.packet_ids[i]) == (devices[n], n)
        assert (batch.received_at_ns[i], batch.flags[i]) == (n, n % 3)
        assert batch.extras[i] == b"x%d" % n
    assert sum(map(len, admitted.batches)) == len(devices)
    assert admitted.received.total() == len(devices)
    assert admitted.bytes_by_family.total() == sum(map(len, messages.payloads))


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)],
)
def test_d11_murmur2_is_kafkas(key: bytes, value: int) -> None:
    assert murmur2(key) == value & 0xFFFFFFFF
