"""Fixtures for all tests: the real servers that they share."""

from hypothesis import settings

from tests.servers.kafka import kafka
from tests.servers.pgbouncer import pgbouncer
from tests.servers.postgres import postgres, postgres_url
from tests.servers.tables import migrated_url, postgres_template, stored

__all__ = [
    "kafka",
    "migrated_url",
    "pgbouncer",
    "postgres",
    "postgres_template",
    "postgres_url",
    "stored",
]

# How long an example takes tells of the machine; whole tests have their limit.
settings.register_profile("millrace", deadline=None)
settings.load_profile("millrace")
