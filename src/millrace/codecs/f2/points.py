"""Data points compiled: how one value is cut out of a frame and turned into a number.

Source: F2-091 to F2-096.
"""

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from operator import truediv
from typing import Any, Final

from millrace.errors import RejectError
from millrace.model.device import DataPoint
from millrace.model.numbers import read_quantity

Convert = Callable[[bytes], float | str]
Cut = Callable[[bytes], Sequence[float]]
Unpack = Callable[[bytes], tuple[Any, ...]]

MAX_DECIMALS: Final = 18
_LONGEST_DIGITS: Final = 8
_BIT = re.compile(r"bit\(([0-9]{1,3})\)")
_INTEGERS: Final = {
    f"{'u' if unsigned else ''}int{8 * size}": (size, not unsigned)
    for size in (1, 2, 3, 4, 8)
    for unsigned in (False, True)
}
_FLOATS: Final = {"float32": (4, ">f"), "float64": (8, ">d")}
_FORMATS: Final = {
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}
_SWAPPABLE: Final = frozenset({"int32", "uint32", "float32", "int64", "uint64", "float64"})
_PRINTABLE = re.compile(rb"[\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class PointReader:
    """One data point, ready to read.

    Shape: `end` is the first byte behind the value; a shorter frame is a `short_frame`.
    `struct_format` is the character of the struct module when that reads the value as it is.
    """

    point: DataPoint
    start: int
    end: int
    convert: Convert
    struct_format: str = ""
    is_little: bool = False

    @property
    def is_float(self) -> bool:
        """Whether the raw number may be NaN or infinite."""
        return self.struct_format in ("f", "d")

    def read(self, frame: bytes) -> float | str:
        """Return the value; a text for text data points.

        Raises:
            RejectError: `short_frame`, `bad_value` or `not_finite`.
        """
        if self.end > len(frame):
            raise RejectError("short_frame", f"{len(frame)} bytes, the value ends at {self.end}")
        return self.convert(frame[self.start : self.end])


def compile_point(point: DataPoint) -> PointReader:
    """Return the reader of a data point.

    Raises:
        RejectError: `bad_encoding`, the row cannot be right.
    """
    name, data_format = _encoding(point)
    length = point.length or _natural_length(name)
    if length <= 0 or point.offset < 0 or not 0 <= point.decimals <= MAX_DECIMALS:
        raise RejectError("bad_encoding", "length, offset or decimals out of range")
    _check_order(name, point.byte_order)
    convert = _convert(name, length, point.decimals, data_format=data_format)
    is_plain = point.byte_order != "word-swapped"
    return PointReader(
        point,
        point.offset,
        point.offset + length,
        _ordered(convert, name, point.byte_order),
        _FORMATS.get(name, "") if is_plain else "",
        point.byte_order == "little",
    )


def natural_reader(encoding: str) -> PointReader:
    """Return the reader of a simple row: offset 0, natural length, big-endian.

    Raises:
        RejectError: `bad_encoding`, no encoding of this name has a natural length.
    Source: F2-084.
    """
    return compile_point(DataPoint(0, "", encoding, 0))


def compile_cut(readers: Sequence[PointReader]) -> Cut | None:
    """Return one look-up for all values of a template, in the order of `readers`.

    None when a value needs more than the struct module: 24 bits, digits, texts, swapped words.
    Shape: the frame must reach to the largest `end`.
    """
    if not readers or not all(reader.struct_format for reader in readers):
        return None
    unpack = _unpack(readers)
    divisors = tuple(10**reader.point.decimals for reader in readers)
    if len(divisors) in _SHORT_CUTS:
        return _SHORT_CUTS[len(divisors)](unpack, *divisors)
    return lambda frame: list(map(truediv, unpack(frame), divisors))


def _cut_one(unpack: Unpack, a: int) -> Cut:
    return lambda frame: (unpack(frame)[0] / a,)


def _cut_two(unpack: Unpack, a: int, b: int) -> Cut:
    def cut(frame: bytes) -> tuple[float, ...]:
        first, second = unpack(frame)
        return first / a, second / b

    return cut


def _cut_three(unpack: Unpack, a: int, b: int, c: int) -> Cut:
    def cut(frame: bytes) -> tuple[float, ...]:
        first, second, third = unpack(frame)
        return first / a, second / b, third / c

    return cut


def _cut_four(unpack: Unpack, a: int, b: int, c: int, d: int) -> Cut:
    # one divisor a value, because a loop over them costs twice as much as the divisions
    def cut(frame: bytes) -> tuple[float, ...]:
        first, second, third, fourth = unpack(frame)
        return first / a, second / b, third / c, fourth / d

    return cut


_SHORT_CUTS: Final[dict[int, Callable[..., Cut]]] = {
    1: _cut_one,
    2: _cut_two,
    3: _cut_three,
    4: _cut_four,
}


def _unpack(readers: Sequence[PointReader]) -> Unpack:
    layout = "<" if readers[0].is_little else ">"
    at = 0
    for reader in readers:
        if reader.start < at or reader.is_little != readers[0].is_little:
            return _unpack_singly(readers)
        layout += f"{reader.start - at}x{reader.struct_format}"
        at = reader.end
    return struct.Struct(layout).unpack_from


def _unpack_singly(readers: Sequence[PointReader]) -> Unpack:
    parts = [
        (struct.Struct(("<" if reader.is_little else ">") + reader.struct_format), reader.start)
        for reader in readers
    ]
    return lambda frame: tuple(layout.unpack_from(frame, start)[0] for layout, start in parts)


def _encoding(point: DataPoint) -> tuple[str, str]:
    # older registries keep the name of the encoding in data_format
    if point.encoding:
        return point.encoding.strip().lower(), point.data_format
    return point.data_format.strip().lower(), "numeric"


def _natural_length(name: str) -> int:
    if name in _INTEGERS:
        return _INTEGERS[name][0]
    if name in _FLOATS:
        return _FLOATS[name][0]
    return 1 if _BIT.fullmatch(name) else 0


def _check_order(name: str, order: str) -> None:
    if order not in ("big", "little") and not (order == "word-swapped" and name in _SWAPPABLE):
        raise RejectError("bad_encoding", "this encoding has no such byte order")


def _ordered(convert: Convert, name: str, order: str) -> Convert:
    if order == "little" and name != "ascii":
        return lambda cut: convert(cut[::-1])
    if order == "word-swapped":
        return lambda cut: convert(b"".join(cut[at : at + 2] for at in range(len(cut) - 2, -2, -2)))
    return convert


def _convert(name: str, length: int, decimals: int, *, data_format: str) -> Convert:
    divisor = 10**decimals
    bit = _BIT.fullmatch(name)
    if name in _INTEGERS and length == _INTEGERS[name][0]:
        is_signed = _INTEGERS[name][1]
        return lambda cut: int.from_bytes(cut, "big", signed=is_signed) / divisor
    if name in _FLOATS and length == _FLOATS[name][0]:
        return _float(struct.Struct(_FLOATS[name][1]), divisor)
    if name == "bcd" and length <= _LONGEST_DIGITS:
        return _bcd(divisor)
    if bit and length <= _LONGEST_DIGITS and int(bit[1]) < 8 * length:
        number = int(bit[1])
        return lambda cut: float(int.from_bytes(cut, "big") >> number & 1)
    if name == "ascii":
        return _text if data_format == "text" else _numeric_text(decimals)
    raise RejectError("bad_encoding", "no encoding of this name and length")


def _float(layout: struct.Struct, divisor: int) -> Convert:
    def convert(cut: bytes) -> float:
        value: float = layout.unpack(cut)[0]
        if not isfinite(value):
            raise RejectError("not_finite", "the float is not a number")
        return value / divisor

    return convert


def _bcd(divisor: int) -> Convert:
    def convert(cut: bytes) -> float:
        digits = cut.hex()
        if not digits.isdecimal():
            raise RejectError("bad_value", "a nibble is above 9")
        return int(digits) / divisor

    return convert


def _text(cut: bytes) -> str:
    content = cut.rstrip(b"\x00 ")
    if _PRINTABLE.fullmatch(content) is None:
        raise RejectError("bad_value", "no printable ASCII")
    return content.decode("ascii")


def _numeric_text(decimals: int) -> Convert:
    return lambda cut: read_quantity(_text(cut), decimals)[0]
