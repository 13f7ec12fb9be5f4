"""The registry and the rows beside the readings, as the API reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from millrace.model.series import SeriesKey


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One series as the store knows it."""

    series_id: int
    key: SeriesKey
    unit: str | None


@dataclass(frozen=True, slots=True)
class DeviceQuery:
    """Filters of API-060; None does not filter. `text` is contained in id or name.

    `after` is the (created_at text, id) of the last row of the page before.
    """

    status: str | None = None
    device_type: str | None = None
    family: str | None = None
    group_path: str | None = None
    connection_status: str | None = None
    registered: bool | None = None
    text: str | None = None
    after: tuple[str, int] | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Filters of API-072. Units: UTC nanoseconds. `after_id` is the last row of the page before."""

    device_id: str
    type: str | None = None
    start_ns: int | None = None
    stop_ns: int | None = None
    after_id: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class EventView:
    """One stored event."""

    id: int
    position: int
    device_id: str
    type: str
    time_ns: int
    data: Mapping[str, Any] = field(default_factory=dict)


class Registry(Protocol):
    """Read access for the API. Thread-confined; every call is one short read transaction.

    Rows are mappings with the column names of REG-020; instants are text as REG-007 stores them,
    JSON columns are parsed, booleans are bool.
    """

    def devices(self, query: DeviceQuery) -> list[dict[str, Any]]:
        """Return devices, newest `created_at` first, then id descending."""
        ...

    def device(self, device_id: str) -> dict[str, Any]:
        """Return one device. Raises: NotFoundError."""
        ...

    def series(
        self,
        device_ids: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
        channels: Sequence[str] | None = None,
    ) -> list[SeriesRow]:
        """Return series by device, metric and channel; None does not filter. Order: by id."""
        ...

    def attributes(self, attr_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the attribute bodies (`unit` included) for these ids."""
        ...

    def events(self, query: EventQuery) -> list[EventView]:
        """Return events of a device, newest first."""
        ...

    def counters(self) -> dict[tuple[str, str, str], int]:
        """Return (outcome, family, detail) -> count, as committed with the positions (MON-030)."""
        ...
