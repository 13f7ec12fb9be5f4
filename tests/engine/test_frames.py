import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.engine import frames
from millrace.engine.frames import Columns, CorruptFrameError, Place, seal, unseal
from millrace.errors import StopError

SMALL = st.integers(0, 0xFFFF)
TEXT = st.one_of(st.sampled_from(["a", "b/c", "höhe"]), st.text(max_size=9))
INSTANT = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(1_700_000_000_000_000_000, 1_700_000_000_001_000_000),
)
MESSAGE = st.tuples(TEXT, st.binary(max_size=40), INSTANT, SMALL, TEXT, SMALL)


def columns_of(count: int, *, step_ns: int = 1000, unique: int = 3) -> Columns:
    numbers = range(count)
    return Columns(
        [f"f2/device-{n % unique}/telemetry" for n in numbers],
        [b'{"seq":%d,"value":%d}' % (n, n * 17) for n in numbers],
        [1_700_000_000_000_000_000 + n * step_ns for n in numbers],
        [n % 4 for n in numbers],
        [f"client-{n % unique}" for n in numbers],
        [n % 65536 for n in numbers],
        {},
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(MESSAGE, min_size=1, max_size=30), st.data())
def test_unseals_what_was_sealed(rows: list[tuple[object, ...]], data: st.DataObject) -> None:
    index = st.integers(0, len(rows) - 1)
    extras = data.draw(st.dictionaries(index, st.binary(max_size=9), max_size=4))
    lists: Any = [*(list(column) for column in zip(*rows, strict=True)), extras]
    columns = Columns(*lists)
    place, found = unseal(seal(columns, partition=7, first_offset=2**47))
    assert found == columns
    assert place == Place(7, 2**47, len(rows))


@pytest.mark.parametrize("unique", [1, 2, 255, 256, 257, 700])
@pytest.mark.parametrize("step_ns", [0, 1000, -1000, 2**31, -(2**31) - 1])
def test_every_shape_of_a_column(unique: int, step_ns: int) -> None:
    columns = columns_of(700, unique=unique, step_ns=step_ns)
    assert unseal(seal(columns, partition=0, first_offset=0))[1] == columns


def test_more_than_65536_topics() -> None:
    columns = columns_of(65540, unique=65537)
    assert unseal(seal(columns, partition=0, first_offset=0))[1] == columns


def test_is_compact() -> None:
    frame = seal(columns_of(500), partition=0, first_offset=0)
    assert len(frame) < 500 * 22


def test_what_does_not_shrink_is_stored_plain() -> None:
    columns = Columns(["t"], [b"x"], [5], [0], [""], [0], {})
    frame = seal(columns, partition=0, first_offset=0)
    assert frame[5] == frames.PLAIN
    assert unseal(frame)[1] == columns


def test_p2_every_flipped_bit_is_noticed() -> None:
    frame = seal(columns_of(20), partition=3, first_offset=9)
    for at in range(len(frame)):
        for bit in (1, 128):
            flipped = bytearray(frame)
            flipped[at] ^= bit
            with pytest.raises(CorruptFrameError):
                unseal(bytes(flipped))


def test_p2_every_truncation_is_noticed() -> None:
    frame = seal(columns_of(20), partition=3, first_offset=9)
    for size in range(len(frame)):
        with pytest.raises(CorruptFrameError):
            unseal(frame[:size])
    with pytest.raises(CorruptFrameError):
        unseal(frame + b"\x00")


def test_a_body_that_lies_is_corrupt_even_when_its_checksum_fits() -> None:
    frame = seal(columns_of(20), partition=3, first_offset=9)
    plain_size = struct.unpack_from("<I", frame, 24)[0]
    for lie in (0, 1, plain_size - 1, plain_size + 1):
        body = bytearray(frame)
        body[24:28] = struct.pack("<I", lie)
        with pytest.raises(CorruptFrameError):
            unseal(resigned(body))
    for count in (0, 19, 21, 2**32 - 1):
        body = bytearray(frame)
        body[20:24] = struct.pack("<I", count)
        with pytest.raises(CorruptFrameError):
            unseal(resigned(body))


def resigned(frame: bytearray) -> bytes:
    frame[8:12] = bytes(4)
    frame[8:12] = zlib.crc32(frame).to_bytes(4, "little")
    return bytes(frame)


def test_a_later_version_is_not_called_damage() -> None:
    frame = bytearray(seal(columns_of(2), partition=0, first_offset=0))
    frame[4] = frames.VERSION + 1
    with pytest.raises(StopError, match="frame version 2 is not known") as caught:
        unseal(resigned(frame))
    assert not isinstance(caught.value, CorruptFrameError)


@pytest.mark.parametrize(
    "change",
    [
        {"topics": ["a"]},
        {"flags": [0, 65536]},
        {"flags": [0, -1]},
        {"packet_ids": [0, 65536]},
        {"received_at_ns": [0, 2**63]},
        {"extras": {-1: b""}},
    ],
)
def test_what_does_not_fit_is_refused(change: Any) -> None:
    with pytest.raises(ValueError, match=r"fit its column|equally long"):
        seal(columns_of(2)._replace(**change), partition=0, first_offset=0)


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="not empty"):
        seal(columns_of(0), partition=0, first_offset=0)
