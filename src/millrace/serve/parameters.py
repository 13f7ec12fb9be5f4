"""Query parameters, one model a route. What is not named here is `unknown_parameter`.

Source: API-001 to API-003, API-018, and the routes in section 3 and 6 of api.md.
"""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(max_length=256)]
Texts = Annotated[list[Text], Field(default_factory=list, max_length=200)]
Limit = Annotated[int, Field(ge=1, le=1000)]
PointLimit = Annotated[int, Field(ge=1, le=10_000)]
Cursor = Annotated[str | None, StringConstraints(max_length=1024)]
Instant = Annotated[str, StringConstraints(max_length=64)]
Function = Literal[
    "mean", "min", "max", "sum", "count", "first", "last", "stddev", "p50", "p95", "p99"
]


class Nothing(BaseModel):
    """A route without parameters."""

    model_config = ConfigDict(extra="forbid")


class DeviceFilters(Nothing):
    """API-060."""

    status: Text | None = None
    type: Text | None = None
    family: Text | None = None
    group_path: Text | None = None
    connection_status: Literal["online", "offline", "unknown"] | None = None
    registered: bool | None = None
    q: Text | None = None
    limit: Limit = 100
    cursor: Cursor = None


class PointFilters(Nothing):
    """API-030."""

    start: Instant = "-1h"
    stop: Instant = "now()"
    metric: Texts
    channel: Texts
    order: Literal["asc", "desc"] = "asc"
    limit: PointLimit = 1000
    cursor: Cursor = None


class LatestFilters(Nothing):
    """API-031, GET."""

    device_id: Texts
    metric: Texts
    limit: Limit = 100
    cursor: Cursor = None


class WindowFilters(Nothing):
    """API-032 for one device."""

    metric: Texts
    start: Instant = "-1h"
    stop: Instant = "now()"
    every: Instant = "1m"
    fn: Annotated[list[Function], Field(min_length=1, max_length=11)] = ["mean"]
    tz: Text = "UTC"
    fill: Literal["none", "null"] = "none"


class FleetWindowFilters(WindowFilters):
    """API-032 for any devices."""

    device_id: Texts


class ExportFilters(Nothing):
    """API-033."""

    device_id: Texts
    metric: Texts
    start: Instant = "-1h"
    stop: Instant = "now()"
    format: Literal["csv", "parquet", "arrow"] = "csv"


class HistoryFilters(Nothing):
    """API-035."""

    hours: Annotated[int, Field(ge=1, le=8760)] = 24
    limit: PointLimit = 10_000
    cursor: Cursor = None


class SeriesFilters(Nothing):
    """API-037."""

    metric: Texts
    limit: Limit = 100
    cursor: Cursor = None


class EventFilters(Nothing):
    """API-072."""

    type: Text | None = None
    start: Instant | None = None
    stop: Instant | None = None
    limit: Limit = 100
    cursor: Cursor = None


NoQuery = Annotated[Nothing, Query()]
