"""The Parquet file of the lake layout.

Source: MTR-133.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from millrace.errors import StopError
from millrace.flow.archive.message import ArchivedMessage

_SCHEMA = pa.schema(
    [
        pa.field("at", pa.timestamp("ns", tz="UTC"), nullable=False),
        pa.field("device_id", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("qos", pa.int8(), nullable=False),
        pa.field("retain", pa.bool_(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)


def encode(messages: Sequence[ArchivedMessage]) -> bytes:
    """Return messages, in log order, as a Parquet file."""
    columns = [
        [one.received_at_ns for one in messages],
        [one.device_id for one in messages],
        [one.category for one in messages],
        [one.topic for one in messages],
        [one.qos for one in messages],
        [one.retain for one in messages],
        [one.partition for one in messages],
        [one.offset for one in messages],
        [one.payload for one in messages],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=_SCHEMA), sink, compression="zstd",
        write_page_checksum=True,
    )  # fmt: skip
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def decode(key: str, body: bytes) -> Iterator[ArchivedMessage]:
    """Yield the messages of a file.

    Raises:
        StopError: The file is damaged.
    """
    try:
        table = pq.read_table(pa.BufferReader(body), page_checksum_verification=True)
        times = table.column("at").cast(pa.int64()).to_pylist()
        rows = table.drop_columns(["at"]).to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise StopError(
            f"the archived object {key} is damaged: {error}",
            "restore it, or archive the log again",
        ) from error
    for received_at_ns, row in zip(times, rows, strict=True):
        yield ArchivedMessage(received_at_ns=received_at_ns, object_key=key, **row)
