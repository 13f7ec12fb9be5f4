"""The private PostgreSQL and PgBouncer do what tests rely on."""

import psycopg
import pytest

from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres, running_postgres

pytestmark = pytest.mark.services


def test_databases_are_separate(postgres: Postgres, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as db:
        db.execute("CREATE TABLE mine (n int)")
    other = postgres.make_database()
    assert postgres.ask("SELECT to_regclass('mine')", other) == [(None,)]
    postgres.drop_database(other)


def test_a_killed_server_comes_back_with_what_was_committed() -> None:
    with running_postgres() as server:
        server.ask("CREATE TABLE kept (n int)")
        server.ask("INSERT INTO kept VALUES (1)")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            server.ask("SELECT 1")
        server.start(default_transaction_read_only="on")
        assert server.ask("SELECT n FROM kept") == [(1,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            server.ask("INSERT INTO kept VALUES (2)")


def test_a_password_is_asked_for() -> None:
    words = "p w/@:"
    with running_postgres(password=words) as server:
        assert server.ask("SELECT current_user") == [("millrace",)]
        wrong = server.url().replace("p%20w", "x")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(wrong)


def test_the_pooler_spreads_the_transactions_of_one_client(
    postgres_url: str, pgbouncer: PgBouncer
) -> None:
    url = pgbouncer.url(postgres_url.rpartition("/")[2])
    pid = "SELECT pg_backend_pid()"
    with psycopg.connect(url) as one, psycopg.connect(url) as other:
        pids = {one.execute(pid).fetchall()[0], other.execute(pid).fetchall()[0]}
        assert len(pids) == 2
        other.commit()
        for _ in range(4):
            one.commit()
            pids.discard(one.execute(pid).fetchall()[0])
        assert not pids
