"""Hot frames: the readings of one commit as one blob, for the ledger's rows.

A frame is a fixed header and the columns; the schema is this file. Up to `PLAIN_ROWS` rows the
columns lie there as they are, because compressing a few rows costs more than it saves. Above
that, instants and positions are kept as differences, every column is cut into its byte planes
(all first bytes, all second bytes, ...) and the whole is packed with LZ4: what hardly changes from
row to row then becomes runs. A frame that does not match its checksum is never opened.

Layout, little endian: version u8, packing u8, zero u16, rows u32, checksum u32 (CRC-32 of the rest
of the header and of the body), body.
Source: D-10, D-22, D-23.
"""

import struct
import zlib

import lz4.block
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.errors import StopError
from millrace.model.work import Readings
from millrace.ports.series import READING_SCHEMA

HOT_SCHEMA = READING_SCHEMA.append(pa.field("received_at_ns", pa.int64(), nullable=False)).append(
    pa.field("position", pa.int64(), nullable=False)
)

VERSION = 1
PLAIN_ROWS = 24

_PLAIN = 0
_PLANES = 1
_HEAD = struct.Struct("<BBHII")
_HEAD_SIZE_BYTES = _HEAD.size
_SUMMED = struct.Struct("<BBHI")
_LONG = np.dtype("<i8")
_SHORT = np.dtype("<i2")
_LONG_COLUMNS = 6
_ROW_SIZE_BYTES = 8 * _LONG_COLUMNS + 2
# Rows of the block of long columns that are kept as differences: times, receipts, positions.
_DIFFERENCES = slice(1, 4)

_Longs = npt.NDArray[np.int64]


def seal_hot(readings: Readings) -> bytes:
    """Return the frame of the readings of one commit, in their order.

    Shape: about 50 B a row up to `PLAIN_ROWS` rows, 5 to 20 B a row in large frames.
    """
    rows = len(readings)
    longs = np.empty((_LONG_COLUMNS, rows), _LONG)
    longs[0] = readings.series
    longs[1] = readings.time_ns
    longs[2] = readings.received_at_ns
    longs[3] = readings.position
    longs[4] = readings.attr
    longs[5] = readings.value.view(_LONG)
    if rows <= PLAIN_ROWS:
        packing, body = _PLAIN, longs.tobytes() + readings.flags.astype(_SHORT).tobytes()
    else:
        packing, body = _PLANES, _pack(longs, readings.flags.astype(_SHORT))
    checksum = zlib.crc32(body, zlib.crc32(_SUMMED.pack(VERSION, packing, 0, rows)))
    return _HEAD.pack(VERSION, packing, 0, rows, checksum) + body


def open_hot(frame: bytes) -> pa.RecordBatch:
    """Return the readings of a frame, with the columns of `HOT_SCHEMA`.

    Raises:
        StopError: The frame is damaged, or was written by a version that is not known here.
    """
    packing, rows = _check(frame)
    body = memoryview(frame)[_HEAD_SIZE_BYTES:]
    if packing == _PLAIN:
        if len(body) != _ROW_SIZE_BYTES * rows:
            raise _damaged("does not have the rows it promises")
        cut = 8 * _LONG_COLUMNS * rows
        longs = np.frombuffer(body[:cut], _LONG).reshape(_LONG_COLUMNS, rows)
        flags = np.frombuffer(body[cut:], _SHORT)
    else:
        longs, flags = _unpack(body, rows)
    columns = (longs[0], longs[1], longs[5].view(np.float64), flags, longs[4], longs[2], longs[3])
    return pa.RecordBatch.from_arrays([pa.array(one) for one in columns], schema=HOT_SCHEMA)


def read_hot(frame: bytes) -> Readings:
    """Return the readings of a frame as they were handed to `seal_hot`. Raises: as `open_hot`."""
    columns = open_hot(frame)
    series, time_ns, value, flags, attr, received_at_ns, position = (
        column.to_numpy() for column in columns
    )
    return Readings(series, attr, time_ns, value, flags, received_at_ns, position)


def check_hot(frame: bytes) -> None:
    """Find out whether a frame can be opened. Raises: as `open_hot`."""
    _check(frame)


def _check(frame: bytes) -> tuple[int, int]:
    if len(frame) < _HEAD_SIZE_BYTES:
        raise _damaged(f"is {len(frame)} bytes long, less than its header")
    version, packing, zero, rows, checksum = _HEAD.unpack_from(frame)
    if version != VERSION:
        raise StopError(
            f"hot frame version {version} is unknown; this release reads version {VERSION}",
            "run the release that wrote it, or a later one",
        )
    summed = zlib.crc32(_SUMMED.pack(version, packing, zero, rows))
    if zlib.crc32(memoryview(frame)[_HEAD_SIZE_BYTES:], summed) != checksum:
        raise _damaged("does not match its checksum")
    if packing not in (_PLAIN, _PLANES):
        raise _damaged(f"has packing {packing}")
    return packing, rows


def _damaged(what: str) -> StopError:
    return StopError(
        f"a hot frame is damaged: it {what}", "restore the ledger from a backup, or replay the log"
    )


def _pack(longs: _Longs, flags: npt.NDArray[np.int16]) -> bytes:
    rows = longs.shape[1]
    steps = longs[_DIFFERENCES]
    steps[:, 1:] = np.diff(steps)
    planes = np.empty(_ROW_SIZE_BYTES * rows, np.uint8)
    cut = 8 * _LONG_COLUMNS * rows
    planes[:cut].reshape(_LONG_COLUMNS, 8, rows)[:] = (
        longs.view(np.uint8).reshape(_LONG_COLUMNS, rows, 8).swapaxes(1, 2)
    )
    planes[cut:].reshape(2, rows)[:] = flags.view(np.uint8).reshape(rows, 2).T
    packed: bytes = lz4.block.compress(planes.data, store_size=False)
    return packed


def _unpack(body: memoryview, rows: int) -> tuple[_Longs, npt.NDArray[np.int16]]:
    try:
        plain = lz4.block.decompress(body, uncompressed_size=_ROW_SIZE_BYTES * rows)
    except lz4.block.LZ4BlockError as error:
        raise _damaged("cannot be unpacked") from error
    if len(plain) != _ROW_SIZE_BYTES * rows:
        raise _damaged("does not have the rows it promises")
    planes = np.frombuffer(plain, np.uint8)
    cut = 8 * _LONG_COLUMNS * rows
    shaped = planes[:cut].reshape(_LONG_COLUMNS, 8, rows).swapaxes(1, 2)
    longs = np.ascontiguousarray(shaped).view(_LONG).reshape(_LONG_COLUMNS, rows)
    np.cumsum(longs[_DIFFERENCES], axis=1, out=longs[_DIFFERENCES])
    flags = np.ascontiguousarray(planes[cut:].reshape(2, rows).T).view(_SHORT).reshape(rows)
    return longs, flags
