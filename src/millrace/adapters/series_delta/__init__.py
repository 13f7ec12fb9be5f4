"""Sealed history in a Delta Lake table, and queries over it and the hot readings together."""

from millrace.adapters.series_delta.query import DeltaQuery
from millrace.adapters.series_delta.writer import DeltaSeries

__all__ = ["DeltaQuery", "DeltaSeries"]
