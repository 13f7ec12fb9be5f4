"""Columns of numbers as PostgreSQL's binary formats, both ways, with no step per row.

COPY takes rows of fixed width, which a structured array holds as they travel. Where columns are
parameters or answers they travel as arrays: a header, and then each element behind its length.
Instants are UTC microseconds since 1970 here; PostgreSQL counts from 2000.
Source: D-23; the chapters on COPY and on frontend/backend formats of PostgreSQL's manual.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

from millrace.errors import StopError

Column = npt.NDArray[Any]
# What a statement may take: composed here and in the adapters, never from input.
Values = Mapping[str, Any] | Sequence[Any]

EPOCH_2000_US: Final = 946_684_800_000_000

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_ARRAY_HEAD: Final = struct.Struct(">iiIii")
_READING_FIELDS: Final = (
    ("series_id", ">i4"),
    ("time", ">i8"),
    ("value", ">f8"),
    ("flags", ">i2"),
    ("attr_id", ">i4"),
)
COPY_READINGS: Final = (
    "COPY readings (series_id, time, value, flags, attr_id) FROM STDIN (FORMAT BINARY)"
)


class Kind(NamedTuple):
    """One type of PostgreSQL: number of the type, of its array, and the element as it travels."""

    oid: int
    array_oid: int
    element: str


INT2: Final = Kind(21, 1005, ">i2")
INT4: Final = Kind(23, 1007, ">i4")
INT8: Final = Kind(20, 1016, ">i8")
FLOAT8: Final = Kind(701, 1022, ">f8")
INSTANT: Final = Kind(1184, 1185, ">i8")
_ELEMENTS: Final = {kind.oid: np.dtype(kind.element) for kind in (INT2, INT4, INT8, FLOAT8)} | {
    INSTANT.oid: np.dtype(INSTANT.element)
}


def _row_type() -> np.dtype[np.void]:
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in _READING_FIELDS:
        fields += [(f"{name}_size", ">i4"), (name, kind)]
    return np.dtype(fields)


_ROW: Final = _row_type()


def copy_rows(
    series: Column, time_us: Column, value: Column, flags: Column, attr: Column
) -> list[bytes]:
    """Return readings as the stream that `COPY_READINGS` takes. Shape: 48 bytes a reading."""
    rows = np.empty(len(series), _ROW)
    rows["fields"] = len(_READING_FIELDS)
    columns = (series, time_us - EPOCH_2000_US, value, flags, attr)
    for (name, kind), column in zip(_READING_FIELDS, columns, strict=True):
        rows[f"{name}_size"] = np.dtype(kind).itemsize
        rows[name] = column
    return [_SIGNATURE, rows.tobytes(), _TRAILER]


class Array:
    """A column as a parameter of a statement."""

    def __init__(self, kind: Kind, column: Column) -> None:
        self.kind = kind
        self.column = column - EPOCH_2000_US if kind is INSTANT else column

    def dumped(self) -> bytes:
        """Return the column in the binary format of arrays."""
        element = np.dtype(self.kind.element)
        body = np.empty(len(self.column), [("size", ">i4"), ("element", element)])
        body["size"], body["element"] = element.itemsize, self.column
        dimensions = 1 if len(self.column) else 0
        head = _ARRAY_HEAD.pack(dimensions, 0, self.kind.oid, len(self.column), 1)
        return head + body.tobytes() if dimensions else head[:12]


class ArrayDumper(Dumper):
    """Teaches a connection to take `Array`."""

    format = Format.BINARY

    def dump(self, obj: Array) -> Buffer | None:
        return obj.dumped()

    def get_key(self, obj: Array, format: Any) -> Any:  # noqa: A002 - the name is psycopg's
        return (self.cls, obj.kind.array_oid)

    def upgrade(self, obj: Array, format: Any) -> "ArrayDumper":  # noqa: A002 - as above
        dumper = ArrayDumper(self.cls)
        dumper.oid = obj.kind.array_oid
        return dumper


def read_array(data: bytes | None) -> Column:
    """Return an array answer of one dimension without NULLs; instants as microseconds since 1970.

    Raises:
        StopError: It is anything else.
    """
    if data is None or len(data) == 12:  # noqa: PLR2004 - the head of an array without elements
        return np.empty(0, np.int64)
    dimensions, nulls, oid, size, _ = _ARRAY_HEAD.unpack_from(data)
    element = _ELEMENTS.get(oid)
    if dimensions != 1 or nulls or element is None:
        raise StopError(f"PostgreSQL answered an array of type {oid} that is not read here")
    body = np.frombuffer(data, [("size", ">i4"), ("element", element)], size, _ARRAY_HEAD.size)
    column: Column = body["element"].astype(element.newbyteorder("="))
    return column + EPOCH_2000_US if oid == INSTANT.oid else column


def ask_columns(db: Connection[Any], query: str, values: Values) -> list[Column]:
    """Return the columns of the one row that a query over arrays answers.

    Shape: one array for each expression of the query; each is empty where the answer is NULL.
    """
    with db.cursor(binary=True) as cursor:
        cursor.execute(query.encode(), values, binary=True)
        result = cursor.pgresult
        if result is None or result.ntuples != 1:
            raise StopError("PostgreSQL did not answer exactly one row of arrays")
        return [read_array(result.get_value(0, place)) for place in range(result.nfields)]
