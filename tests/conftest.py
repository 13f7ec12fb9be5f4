"""Fixtures for all tests: the real servers that they share."""

from tests.servers.pgbouncer import pgbouncer
from tests.servers.postgres import postgres, postgres_url

__all__ = ["pgbouncer", "postgres", "postgres_url"]
