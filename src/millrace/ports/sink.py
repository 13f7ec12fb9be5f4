"""Stores of readings beside the history, each a reader of its own: what is written is copied there.

Source: D-28 ("extra stores are readers `series:<name>`"); MTR-121.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class SeriesName(NamedTuple):
    """What a series id stands for."""

    device_id: str
    metric: str
    channel: str


@dataclass(frozen=True, slots=True)
class SinkRows:
    """Readings with all that names them, as columns, in the order of their commits.

    Units: `time_ns` and `received_at_ns` UTC nanoseconds; `position` as the ledger packs it.
    Shape: `names` and `attributes` have every id of `series` and `attr`; attributes have `unit`.
    """

    series: npt.NDArray[np.int64]
    attr: npt.NDArray[np.int64]
    time_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    received_at_ns: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    names: Mapping[int, SeriesName]
    attributes: Mapping[int, Mapping[str, Any]]


class Refused(NamedTuple):
    """A reading that a store will never take: its row, and what the store said."""

    row: int
    detail: str


class SinkLetter(NamedTuple):
    """A dead letter of a store. `position` as the ledger packs it; UTC nanoseconds."""

    position: int
    received_at_ns: int
    device_id: str
    element: str
    detail: str


class SeriesSink(Protocol):
    """A store that takes copies of readings. Thread-confined."""

    def write(self, rows: SinkRows) -> Sequence[Refused]:
        """Write readings; return those that the store will never take.

        Blocks: until the store has answered for all of them.
        Idempotent: yes; the last arrival wins on (series, time).
        Raises:
            RetryError: The store is away or busy; some may be written, call again with all.
        """
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


class SinkProgress(Protocol):
    """How far one sink has come, kept in the ledger, and the names it needs. Thread-confined."""

    def through(self) -> int:
        """Return the id of the last hot batch that was written, 0 at first."""
        ...

    def names(self, series_ids: Sequence[int]) -> dict[int, SeriesName]:
        """Return what series ids stand for."""
        ...

    def attributes(self, attr_ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
        """Return what attribute ids stand for."""
        ...

    def advance(self, before: int, through: int, letters: Sequence[SinkLetter]) -> None:
        """Move from one batch to another and keep dead letters, as one transaction.

        Raises:
            FencedError: Somebody else has moved it.
            RetryError: The ledger is away; nothing was stored.
        """
        ...

    def close(self) -> None:
        """Release the connection."""
        ...
