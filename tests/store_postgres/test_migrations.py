"""Migrations on PostgreSQL: what the tables say, once, whole or not at all (REG-002, F28)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from millrace.errors import RetryError, StopError, UsageError
from millrace.schema import ddl
from millrace.schema.history import NEEDED
from millrace.store_postgres.migrations import migrate, require_ready
from millrace.store_postgres.place import conninfo_of, place_url
from millrace.store_postgres.tables import PostgresTables
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres, running_postgres

pytestmark = pytest.mark.services

_CATALOGUE = """
SELECT 'column', table_name, column_name, data_type || ' ' || is_nullable || ' '
    || coalesce(column_default, '') FROM information_schema.columns
    WHERE table_schema = current_schema()
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes
    WHERE schemaname = current_schema()
UNION ALL SELECT 'view', viewname, '', definition FROM pg_views
    WHERE schemaname = current_schema()
"""


def _catalogue(url: str) -> set[tuple[str, ...]]:
    with psycopg.connect(url) as db:
        rows = db.execute(_CATALOGUE.encode()).fetchall()
    return {tuple(map(str, row)) for row in rows if row[1] != "alembic_version"}


def _tables(url: str) -> int:
    with psycopg.connect(url) as db:
        [(number,)] = db.execute("SELECT count(*) FROM pg_tables WHERE tableowner = 'millrace'"
                                 " AND schemaname !~ '^pg_|^information'").fetchall()  # fmt: skip
    return int(number)


@pytest.fixture
def other_url(postgres: Postgres) -> Iterator[str]:
    name = postgres.make_database()
    yield postgres.url(name)
    postgres.drop_database(name)


def test_migrate_makes_the_tables_once(postgres_url: str) -> None:
    with pytest.raises(StopError, match=f"none.*{NEEDED}") as caught:
        require_ready(postgres_url)
    assert "millrace migrate" in caught.value.remedy
    assert migrate(postgres_url)
    assert not migrate(postgres_url)
    require_ready(postgres_url)


def test_revisions_build_what_the_tables_say(postgres_url: str, other_url: str) -> None:
    migrate(postgres_url)
    with psycopg.connect(other_url, autocommit=True) as db:
        for statement in ddl.statements("postgresql"):
            db.execute(statement.encode())
    assert _catalogue(postgres_url) == _catalogue(other_url)


def test_through_a_pooler(postgres_url: str, pgbouncer: PgBouncer) -> None:
    url = pgbouncer.url(postgres_url.rpartition("/")[2])
    assert migrate(url)
    require_ready(url)


def test_two_migrators_do_it_once(postgres_url: str) -> None:
    code = (
        "import sys; from millrace.store_postgres.migrations import migrate\nmigrate(sys.argv[1])"
    )
    command = [sys.executable, "-c", code, postgres_url]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    with closing(PostgresTables(postgres_url)) as tables, tables.reading() as asked:
        assert asked.rows("SELECT count(*) FROM device_types") == [(10,)]
        assert asked.rows("SELECT count(*) FROM alembic_version") == [(1,)]


_SLOW = """
import sys, time
from millrace.store_postgres import migrations
whole = migrations.revision_sql
def slow(*words):
    parts = whole(*words).split(";\\n")
    at = int(sys.argv[2])
    return ";\\n".join([*parts[:at], "SELECT pg_sleep(30)", *parts[at:]])
migrations.revision_sql = slow
migrations.migrate(sys.argv[1])
"""


@pytest.mark.parametrize("statement", [1, 40, 150])
def test_f28_a_killed_migration_has_not_happened(postgres_url: str, statement: int) -> None:
    command = [sys.executable, "-c", _SLOW, postgres_url, str(statement)]
    with subprocess.Popen(command) as process:
        try:
            _wait_for(postgres_url, "wait_event = 'PgSleep'", 1)
        finally:
            os.kill(process.pid, signal.SIGKILL)
    assert _tables(postgres_url) == 0
    # The server has not noticed yet; the second migrator waits for the lock or for nothing.
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                   " WHERE wait_event = 'PgSleep' AND pid <> pg_backend_pid()")  # fmt: skip
    assert migrate(postgres_url)
    require_ready(postgres_url)


def _wait_for(url: str, condition: str, number: int) -> None:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"  # noqa: S608
        f" AND pid <> pg_backend_pid() AND {condition}"
    )
    deadline = time.monotonic() + 30
    with psycopg.connect(url, autocommit=True) as db:
        while db.execute(query.encode()).fetchone() != (number,):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_f26_an_unknown_revision_is_refused_with_both_names(postgres_url: str) -> None:
    migrate(postgres_url)
    with psycopg.connect(postgres_url) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    for attempt in (require_ready, migrate):
        with pytest.raises(StopError, match=f"9999.*{NEEDED}"):
            attempt(postgres_url)


def test_f26_a_server_that_takes_no_writes_is_refused_or_waited_for() -> None:
    with running_postgres() as server:
        url = server.url()
        migrate(url)
        with closing(PostgresTables(url)) as tables:
            server.stop()
            with pytest.raises(RetryError), tables.reading():
                pytest.fail("nobody is there")
            server.start(default_transaction_read_only="on")
            with pytest.raises(StopError, match="read-only"):
                require_ready(url)
            require_ready(url, writing=False)
            with tables.reading() as asked:
                assert asked.rows("SELECT version FROM registry_version") == [(1,)]
            with pytest.raises(RetryError, match="read-only"), tables.writing() as changes:
                changes.change("UPDATE registry_version SET version = 2")
            server.stop()
            server.start()
            with tables.writing() as changes:
                assert changes.change("UPDATE registry_version SET version = 2") == 1


def test_another_schema_keeps_tables_apart(postgres_url: str) -> None:
    own = place_url(postgres_url, schema="Own one")
    assert migrate(own)
    require_ready(own)
    with pytest.raises(StopError, match="none"):
        require_ready(postgres_url)
    with closing(PostgresTables(own)) as tables, tables.writing() as changes:
        assert changes.next_number("devices") == 1
    with psycopg.connect(postgres_url) as db:
        assert db.execute('SELECT count(*) FROM "Own one".device_types').fetchall() == [(10,)]


def test_reg082_views_of_older_systems(postgres_url: str) -> None:
    for _ in range(2):
        migrate(postgres_url, legacy_schema="VtDevice")
    with psycopg.connect(postgres_url) as db:
        kinds = db.execute(
            'SELECT devicetypeid, typename, description, issensor, iscontroller FROM "VtDevice"'
            ".devicetypes ORDER BY 1"
        ).fetchall()
        assert kinds[0] == (1, "Controller", "", False, True)
        columns = [
            column.name
            for column in db.execute('SELECT * FROM "VtDevice".datapoints').description or []
        ]
        assert columns[:3] == ["datapointid", "devicetemplateid", "label"]
        assert "offset" in columns
        icons = db.execute('SELECT id, label, content FROM "VtDevice".datapointicons').fetchall()
        assert len(icons) == 6
        for view in ("devicetemplates", "devices", "connectors", "pins"):
            db.execute(f'SELECT * FROM "VtDevice".{view}'.encode())  # noqa: S608 - own names


def test_what_a_user_may_not_do_is_said_with_a_remedy(
    postgres: Postgres, postgres_url: str
) -> None:
    postgres.ask("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN")
    with pytest.raises(StopError, match="permission denied") as caught:
        migrate(postgres_url.replace("millrace@", "guest@"))
    assert "own the schema" in caught.value.remedy
    with (
        closing(PostgresTables(postgres_url)) as tables,
        pytest.raises(StopError) as caught,
        tables.reading() as asked,
    ):
        asked.rows("SELECT 1 FROM devices")
    assert "millrace migrate" in caught.value.remedy


@pytest.mark.parametrize(
    ("url", "password", "placed"),
    [
        ("postgresql://u@h/d", None, "postgresql://u@h/d"),
        (
            "postgresql://u@h:5/d?sslmode=require",
            "a b@",
            "postgresql://u:a%20b%40@h:5/d?sslmode=require",
        ),
    ],
)
def test_a_password_comes_from_its_file(url: str, password: str | None, placed: str) -> None:
    assert place_url(url, password=password) == placed


@pytest.mark.parametrize("url", ["postgresql:///d", "postgresql://h", "postgresql://h:x/d"])
def test_a_url_without_a_place_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"store\.url"):
        place_url(url)


def test_the_schema_is_ours_and_not_the_librarys() -> None:
    url = place_url("postgresql://u@h/d?sslmode=require", schema="x y")
    assert conninfo_of(url) == ("postgresql://u@h/d?sslmode=require", "x y")
    assert conninfo_of("postgresql://u@h/d") == ("postgresql://u@h/d", "public")
