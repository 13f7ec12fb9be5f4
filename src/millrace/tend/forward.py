"""Copies what the ledger has committed to a store beside the history.

It is a reader of its own (`series:<name>`): it goes from hot batch to hot batch, and its position
moves when the store has answered for a batch. Hot batches are not forgotten before they are copied,
so a store that is away for long costs space in the ledger, and nothing else.
Source: D-28, MTR-121.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from millrace.flow.hot_frame import HOT_SCHEMA, open_hot
from millrace.ports.ledger import HotBatch, HotReadings
from millrace.ports.sink import Refused, SeriesSink, SinkLetter, SinkProgress, SinkRows

_BATCHES = 200
_ROWS = 50_000


class Forwarder:
    """Feeds one sink."""

    def __init__(
        self,
        hot: HotReadings,
        progress: SinkProgress,
        sink: SeriesSink,
        breathe: Callable[[], None] = lambda: None,
    ) -> None:
        self._hot = hot
        self._progress = progress
        self._sink = sink
        self._breathe = breathe

    def run_once(self, now_ns: int) -> int:
        """Copy all there is; return the number of readings.

        Raises:
            RetryError: Ledger or sink are away; call again.
            FencedError: Another process copies to this sink.
        """
        copied, before = 0, self._progress.through()
        while waiting := self._hot.hot(before, _BATCHES):
            batches = _first(waiting, _ROWS)
            rows = self._rows(batches)
            refused = self._sink.write(rows)
            through = batches[-1].id
            self._progress.advance(before, through, _letters(rows, refused))
            copied, before = copied + len(rows.series) - len(refused), through
            self._breathe()
        return copied

    def _rows(self, batches: Sequence[HotBatch]) -> SinkRows:
        table = pa.Table.from_batches(
            [open_hot(batch.frame) for batch in batches], schema=HOT_SCHEMA
        )
        series, time_ns, value, _flags, attr, received_at_ns, position = (
            table.column(name).to_numpy() for name in HOT_SCHEMA.names
        )
        names = self._progress.names(np.unique(series).tolist())
        attributes = self._progress.attributes(np.unique(attr).tolist())
        return SinkRows(series, attr, time_ns, value, received_at_ns, position, names, attributes)


def _first(batches: Sequence[HotBatch], most_rows: int) -> Sequence[HotBatch]:
    """Return the first batches, at least one, with about so many rows."""
    rows = 0
    for count, batch in enumerate(batches, 1):
        rows += batch.rows
        if rows >= most_rows:
            return batches[:count]
    return batches


def _letters(rows: SinkRows, refused: Sequence[Refused]) -> list[SinkLetter]:
    letters = []
    for one in refused:
        name = rows.names[int(rows.series[one.row])]
        element = f"{name.metric}.{name.channel}" if name.channel else name.metric
        letters.append(
            SinkLetter(
                int(rows.position[one.row]), int(rows.received_at_ns[one.row]), name.device_id,
                element, one.detail,
            )
        )  # fmt: skip
    return letters
