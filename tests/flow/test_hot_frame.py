"""Hot frames: what goes in comes out, and nothing else ever does (D-10, D-22)."""

import struct
import zlib

import numpy as np
import pytest

from millrace.errors import StopError
from millrace.flow.hot_frame import HOT_SCHEMA, PLAIN_ROWS, open_hot, seal_hot
from millrace.model.work import Readings

LOWEST, HIGHEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def readings(rows: int, seed: int = 7) -> Readings:
    """Readings such as a pump commits: three a message, four partitions."""
    random = np.random.default_rng(seed)
    message = np.arange(rows) // 3
    received = 1_790_000_000_000_000_000 + message * 50_000
    return Readings(
        series=random.integers(1, 30_000, rows),
        attr=random.integers(1, 4, rows),
        time_ns=received - random.integers(0, 10**9, rows),
        value=np.round(random.normal(20, 3, rows), 2),
        flags=random.choice(np.array([0, 4, 512], np.int16), rows),
        received_at_ns=received,
        position=(message % 4 << 48) + message,
    )


@pytest.mark.parametrize("rows", [0, 1, 3, PLAIN_ROWS, PLAIN_ROWS + 1, 600, 6_000])
def test_d10_a_frame_gives_back_what_it_was_given(rows: int) -> None:
    given = readings(rows)
    batch = open_hot(seal_hot(given))
    assert batch.schema == HOT_SCHEMA
    assert batch.num_rows == rows
    np.testing.assert_array_equal(batch.column("series_id"), given.series)
    np.testing.assert_array_equal(batch.column("time_ns"), given.time_ns)
    np.testing.assert_array_equal(batch.column("value"), given.value)
    np.testing.assert_array_equal(batch.column("flags"), given.flags)
    np.testing.assert_array_equal(batch.column("attr_id"), given.attr)
    np.testing.assert_array_equal(batch.column("received_at_ns"), given.received_at_ns)
    np.testing.assert_array_equal(batch.column("position"), given.position)


@pytest.mark.parametrize("rows", [2, 64])
def test_d10_extremes_survive(rows: int) -> None:
    given = readings(rows)
    given.time_ns[:2] = [LOWEST, HIGHEST]
    given.position[:2] = [HIGHEST, LOWEST]
    given.value[:2] = [-0.0, 5e-324]
    batch = open_hot(seal_hot(given))
    assert batch.column("time_ns").to_pylist()[:2] == [LOWEST, HIGHEST]
    assert batch.column("position").to_pylist()[:2] == [HIGHEST, LOWEST]
    assert np.signbit(batch.column("value")[0].as_py())
    assert batch.column("value")[1].as_py() == 5e-324


def test_d10_three_rows_take_less_than_250_bytes() -> None:
    assert len(seal_hot(readings(3))) < 250


def test_d10_large_frames_take_less_than_20_bytes_a_row() -> None:
    assert len(seal_hot(readings(6_000))) < 20 * 6_000


def test_sealing_leaves_the_readings_alone() -> None:
    given, same = readings(500), readings(500)
    seal_hot(given)
    np.testing.assert_array_equal(given.time_ns, same.time_ns)
    np.testing.assert_array_equal(given.position, same.position)


@pytest.mark.parametrize("rows", [3, 40])
def test_f9_any_flipped_byte_is_noticed(rows: int) -> None:
    frame = seal_hot(readings(rows))
    for at in range(len(frame)):
        hurt = bytearray(frame)
        hurt[at] ^= 0x10
        with pytest.raises(StopError, match="hot frame"):
            open_hot(bytes(hurt))


@pytest.mark.parametrize("rows", [3, 40])
def test_f8_any_shorter_frame_is_noticed(rows: int) -> None:
    frame = seal_hot(readings(rows))
    for size in range(len(frame)):
        with pytest.raises(StopError, match="hot frame is damaged"):
            open_hot(frame[:size])


def test_d22_an_unknown_version_is_refused_by_name() -> None:
    body = b"\0" * 50
    checksum = zlib.crc32(body, zlib.crc32(struct.pack("<BBHI", 9, 0, 0, 1)))
    with pytest.raises(StopError, match="version 9"):
        open_hot(struct.pack("<BBHII", 9, 0, 0, 1, checksum) + body)


@pytest.mark.parametrize(("packing", "body"), [(7, b""), (0, b"x"), (1, b"\xff" * 9), (1, b"")])
def test_a_frame_that_lies_with_a_right_checksum_is_refused(packing: int, body: bytes) -> None:
    checksum = zlib.crc32(body, zlib.crc32(struct.pack("<BBHI", 1, packing, 0, 5)))
    with pytest.raises(StopError, match="damaged"):
        open_hot(struct.pack("<BBHII", 1, packing, 0, 5, checksum) + body)
