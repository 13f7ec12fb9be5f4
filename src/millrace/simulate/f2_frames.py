"""Frames of RS-485 instruments, written so that their data points read plausible values.

The inverse of the codec: a value is drawn, put into raw bytes, and `FrameWriter` remembers exactly
what a decoder must read.
Source: F2-090 to F2-094, F2-097, F2-172.
"""

import re
import struct
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Final, Literal, NamedTuple

from millrace.codecs.f2.frames import modbus_crc
from millrace.model.device import DataPoint, TemplateVersion
from millrace.simulate.physics import Walk

HEADER_BYTES: Final = 3
PLAUSIBLE: Final = {
    "°C": (15.0, 30.0),
    "Cel": (15.0, 30.0),
    "celsius": (15.0, 30.0),
    "%": (30.0, 70.0),
    "% RH": (30.0, 70.0),
    "humidity": (30.0, 70.0),
    "ppm": (400.0, 1500.0),
    "V": (218.0, 242.0),
    "A": (0.1, 15.0),
    "hPa": (960.0, 1050.0),
    "pressure": (960.0, 1050.0),
}

_FLOATS: Final = {"float32": ">f", "float64": ">d"}
_INTEGER = re.compile(r"(u?)int(8|16|24|32|64)")
_BIT = re.compile(r"bit\(([0-9]{1,2})\)")
_WORDS: Final = ("RUN", "IDLE", "AUTO", "OK")
_DIGITS_MAX: Final = 15
_BYTES_MAX: Final = 8

Value = float | str
Write = Callable[[float], tuple[float, bytes]]


class Shape(NamedTuple):
    """How raw numbers of an encoding become bytes, big end first, and which there are."""

    length: int
    low: float
    high: float
    write: Write


class Cell(NamedTuple):
    """One data point, ready to be written. `bit` -1: it is no single bit."""

    point: DataPoint
    shape: Shape
    walk: Walk
    bit: int = -1


def limits(unit: str, low: float, high: float) -> tuple[float, float]:
    """Return the bounds of a walk: those of the unit, else the middle half of what fits."""
    least, most = PLAUSIBLE.get(unit, (low, high))
    least, most = max(least, low), min(most, high)
    if unit in PLAUSIBLE and least < most:
        return least, most
    quarter = high / 4 - low / 4
    return low + quarter, high - quarter


def shape_of(point: DataPoint) -> Shape | None:
    """Return the shape of a data point, None when its row cannot be decoded either."""
    name = (point.encoding or point.data_format).strip().lower()
    integer = _INTEGER.fullmatch(name)
    if integer is not None:
        return _integer_shape(int(integer[2]) // 8, is_signed=not integer[1], given=point.length)
    if name in _FLOATS:
        return _float_shape(struct.Struct(_FLOATS[name]), point.length)
    if name == "bcd" and 0 < point.length <= _BYTES_MAX:
        return _digits_shape(point.length)
    if name == "ascii" and point.length > 0:
        return _text_shape(point.length)
    return None


class FrameWriter:
    """Writes the frames of one instrument; `values` are what the latest one says, by data point."""

    def __init__(self, version: TemplateVersion, rng: Random) -> None:
        self._rng = rng
        self._cells = list(_cells(version.data_points, rng))
        self._texts = [point for point in version.data_points if _is_text(point)]
        ends = [cell.point.offset + cell.shape.length for cell in self._cells]
        ends += [point.offset + point.length for point in self._texts]
        self._size = max([HEADER_BYTES, *ends])
        self.values: dict[int, Value] = {}

    def next(self) -> str:
        """Return the next frame: pairs of upper-case hex digits with blanks between."""
        body = bytearray(self._size)
        body[0:HEADER_BYTES] = 1, 3, (self._size - HEADER_BYTES) & 0xFF
        for cell in self._cells:
            self.values[cell.point.id] = _put(cell, body)
        for point in self._texts:
            word = _WORDS[int(self._rng.random() * len(_WORDS))][: point.length]
            body[point.offset : point.offset + point.length] = word.encode().ljust(point.length)
            self.values[point.id] = word
        frame = bytes(body)
        return (frame + modbus_crc(frame).to_bytes(2, "little")).hex(" ").upper()


def _cells(points: Iterable[DataPoint], rng: Random) -> Iterable[Cell]:
    """Yield what can be written, single bits last so that they change only themselves."""
    bits = []
    for point in points:
        bit = _BIT.fullmatch(point.encoding.strip().lower())
        if bit is not None and 0 < (point.length or 1) <= _BYTES_MAX:
            shape = Shape(point.length or 1, 0, 1, lambda raw: (raw, b""))
            bits.append(Cell(point, shape, Walk(rng, 0, 1), int(bit[1])))
            continue
        found = None if _is_text(point) else shape_of(point)
        if found is not None:
            scale = 10.0**point.decimals
            low, high = limits(point.append.strip(), found.low / scale, found.high / scale)
            yield Cell(point, found, Walk(rng, low, high))
    yield from bits


def _put(cell: Cell, body: bytearray) -> float:
    """Write the next value of a data point, and return what it reads as."""
    point, shape = cell.point, cell.shape
    start, end = point.offset, point.offset + shape.length
    if cell.bit >= 0:
        return _put_bit(cell, body)
    scale: int = 10**point.decimals
    raw = min(max(cell.walk.next() * scale, shape.low), shape.high)
    number, content = shape.write(raw)
    body[start:end] = _ordered(content, point)
    return number / scale


def _put_bit(cell: Cell, body: bytearray) -> float:
    point, size = cell.point, cell.shape.length
    here = slice(point.offset, point.offset + size)
    order: Literal["little", "big"] = "little" if point.byte_order == "little" else "big"
    is_set = cell.walk.next() > 0.5  # noqa: PLR2004 - the middle
    number = int.from_bytes(body[here], order)
    number = number | 1 << cell.bit if is_set else number & ~(1 << cell.bit)
    body[here] = number.to_bytes(size, order)
    return float(is_set)


def _ordered(content: bytes, point: DataPoint) -> bytes:
    name = (point.encoding or point.data_format).strip().lower()
    if point.byte_order == "little" and name != "ascii":
        return content[::-1]
    if point.byte_order == "word-swapped":
        return b"".join(content[at : at + 2] for at in range(len(content) - 2, -2, -2))
    return content


def _is_text(point: DataPoint) -> bool:
    name = point.encoding.strip().lower()
    return name == "ascii" and point.data_format == "text" and point.length > 0


def _integer_shape(size: int, *, is_signed: bool, given: int) -> Shape | None:
    if given not in (0, size):
        return None
    low = -(2 ** (8 * size - 1)) if is_signed else 0
    high = 2 ** (8 * size - (1 if is_signed else 0)) - 1

    def write(raw: float) -> tuple[int, bytes]:
        number = min(max(round(raw), low), high)
        return number, number.to_bytes(size, "big", signed=is_signed)

    return Shape(size, low, high, write)


def _float_shape(layout: struct.Struct, given: int) -> Shape | None:
    if given not in (0, layout.size):
        return None

    def write(raw: float) -> tuple[float, bytes]:
        content = layout.pack(raw)
        return layout.unpack(content)[0], content

    # A float holds too much for its middle half to mean anything.
    return Shape(layout.size, -1e6, 1e6, write)


def _digits_shape(size: int) -> Shape:
    high = 10 ** (2 * size) - 1

    def write(raw: float) -> tuple[int, bytes]:
        number = min(round(raw), high)
        return number, bytes.fromhex(f"{number:0{2 * size}d}")

    return Shape(size, 0, high, write)


def _text_shape(size: int) -> Shape:
    high = 10 ** min(size, _DIGITS_MAX) - 1

    def write(raw: float) -> tuple[int, bytes]:
        number = min(round(raw), high)
        return number, str(number).encode().ljust(size)

    return Shape(size, 0, high, write)


def active_version(versions: Sequence[TemplateVersion], at_ns: int) -> TemplateVersion | None:
    """Return the version that decodes what is received at this instant. Source: REG-093."""
    for version in versions:
        start, end = version.activated_at_ns, version.retired_at_ns
        if (start is None or start <= at_ns) and (end is None or at_ns < end):
            return version
    return min(versions, key=lambda one: one.activated_at_ns or 0) if versions else None
