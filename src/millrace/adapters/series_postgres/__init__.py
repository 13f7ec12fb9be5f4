"""History in the PostgreSQL store: what the ledger has committed as rows, asked and kept."""

from millrace.adapters.series_postgres.query import PostgresQuery
from millrace.adapters.series_postgres.writer import PostgresSeries

__all__ = ["PostgresQuery", "PostgresSeries"]
