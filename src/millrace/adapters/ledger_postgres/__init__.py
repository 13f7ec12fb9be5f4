"""The ledger on PostgreSQL: effects, readings as rows, and positions in one transaction."""

from millrace.adapters.ledger_postgres.ledger import PostgresLedger

__all__ = ["PostgresLedger"]
