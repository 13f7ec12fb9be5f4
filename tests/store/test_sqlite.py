"""Opening and migrating the store (REG-002 to REG-004, F28)."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from millrace.errors import RetryError, StopError
from millrace.schema import ddl
from millrace.schema.history import NEEDED, REVISIONS, pending, require_current
from millrace.schema.scripts import revision_sql
from millrace.store.sqlite import (
    migrate,
    open_store,
    reading,
    run_revision,
    stored_revision,
)
from millrace.store.transaction import transaction

MIGRATIONS = Path(ddl.__file__).parent / "migrations"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "millrace.db"


@pytest.fixture(scope="module")
def script() -> str:
    return revision_sql("sqlite", None, REVISIONS[0])


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[apsw.Connection]:
    db = apsw.Connection(str(tmp_path / "empty.db"))
    db.pragma("journal_mode", "wal")
    yield db
    db.close()


def _schema(db: apsw.Connection) -> set[tuple[str, str]]:
    rows = db.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return {(str(name), " ".join(str(sql).split())) for name, sql in rows}


def test_migrate_makes_the_database_once(path: Path) -> None:
    assert migrate(path)
    assert not migrate(path)
    db = open_store(path)
    assert stored_revision(db) == NEEDED
    db.close()


def test_files_belong_to_their_owner_alone(path: Path) -> None:
    migrate(path)
    db = open_store(path)
    with transaction(db):
        db.execute("UPDATE registry_version SET version = version")
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    db.close()


def test_connections_are_durable_and_hold_foreign_keys(path: Path) -> None:
    migrate(path)
    for read_only in (False, True):
        db = open_store(path, read_only=read_only)
        assert db.pragma("journal_mode") == "wal"
        assert db.pragma("synchronous") == 2
        assert db.pragma("foreign_keys") == 1
        db.close()


def test_read_only_connections_cannot_write(path: Path) -> None:
    migrate(path)
    db = open_store(path, read_only=True)
    with pytest.raises(apsw.ReadOnlyError):
        db.execute("DELETE FROM alert_rules")
    db.close()


def test_foreign_keys_hold(path: Path) -> None:
    migrate(path)
    db = open_store(path)
    with pytest.raises(apsw.ConstraintError, match="FOREIGN KEY"):
        db.execute("INSERT INTO connectors (controller_id, connector_number) VALUES ('x', 1)")
    db.close()


def test_revisions_build_what_the_tables_say(empty: apsw.Connection, path: Path) -> None:
    for statement in ddl.statements("sqlite"):
        empty.execute(statement).fetchall()
    migrate(path)
    db = open_store(path)
    ours = {(name, sql) for name, sql in _schema(db) if name != "alembic_version"}
    assert ours == _schema(empty)
    for table in ("device_types", "data_point_icons", "alert_rules", "registry_version"):
        count = f"SELECT count(*) FROM {table}"  # noqa: S608 - names of the test
        assert db.execute(count).fetchall() == empty.execute(count).fetchall()
    db.close()


def test_history_is_linear_and_known_without_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    walked = [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(walked)) == REVISIONS


def test_a_missing_database_is_named(path: Path) -> None:
    with pytest.raises(StopError, match=r"millrace\.db"):
        open_store(path)


def test_a_database_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StopError):
        open_store(path)


def test_older_schema_is_refused_with_both_revisions(path: Path) -> None:
    path.parent.mkdir()
    apsw.Connection(str(path)).close()
    path.touch()
    with pytest.raises(StopError, match=f"none.*{NEEDED}"):
        open_store(path)


def test_unknown_schema_is_refused_with_both_revisions(path: Path) -> None:
    migrate(path)
    db = open_store(path)
    db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    for attempt in (open_store, migrate):
        with pytest.raises(StopError, match=f"9999.*{NEEDED}"):
            attempt(path)


def test_pending_revisions() -> None:
    assert pending(None) == REVISIONS
    assert pending(NEEDED) == ()
    require_current(NEEDED)
    with pytest.raises(StopError):
        require_current(None)


def test_failing_at_any_statement_leaves_the_old_revision(
    empty: apsw.Connection, script: str
) -> None:
    count = sum(1 for _ in ddl.statements("sqlite")) + 2  # Alembic's own table and row
    for allowed in range(count):
        _fail_after(empty, allowed, script)
        assert stored_revision(empty) is None
        assert _schema(empty) == set()
        assert empty.pragma("foreign_keys") == 1
    run_revision(empty, None, script)
    assert stored_revision(empty) == REVISIONS[0]


def _fail_after(db: apsw.Connection, allowed: int, script: str) -> None:
    left = allowed

    def trace(_cursor: apsw.Cursor, statement: str, _bindings: object) -> bool:
        nonlocal left
        is_ours = statement.lstrip().startswith(("CREATE", "INSERT", "--"))
        left -= is_ours
        return not is_ours or left >= 0

    db.exec_trace = trace
    try:
        with pytest.raises(StopError):
            run_revision(db, None, script)
    finally:
        db.exec_trace = None


_KILLED = """
import os, signal, sys
from pathlib import Path
import apsw
from millrace.schema.scripts import revision_sql
from millrace.store.sqlite import run_revision
db = apsw.Connection(sys.argv[1])
db.pragma("journal_mode", "wal")
left = int(sys.argv[2])
def trace(cursor, statement, bindings):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return True
script = revision_sql("sqlite", None, "0001")
db.exec_trace = trace
run_revision(db, None, script)
"""


@pytest.mark.parametrize("allowed", [20, 120])
def test_a_killed_migration_has_not_happened(path: Path, allowed: int) -> None:
    path.parent.mkdir()
    command = [sys.executable, "-c", _KILLED, str(path), str(allowed)]
    ended = subprocess.run(command, check=False, env={**os.environ}, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    db = apsw.Connection(str(path))
    assert stored_revision(db) is None
    assert _schema(db) == set()
    db.close()
    assert migrate(path)


def test_two_migrators_do_it_once(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from millrace.store.sqlite import migrate\n"
        "from millrace.store.tables import open_tables\n"
        "print(migrate(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        process.communicate(timeout=60)
        assert process.returncode == 0
    db = open_store(path)
    assert db.execute("SELECT count(*) FROM device_types").fetchall() == [(10,)]
    assert db.execute("SELECT count(*) FROM alembic_version").fetchall() == [(1,)]
    db.close()


def test_a_migration_that_breaks_a_reference_is_taken_back(path: Path) -> None:
    migrate(path)
    db = open_store(path)
    bad = "INSERT INTO connectors (controller_id, connector_number) VALUES ('nobody', 1)"
    with pytest.raises(StopError, match="foreign keys"):
        run_revision(db, NEEDED, bad)
    assert db.execute("SELECT count(*) FROM connectors").fetchall() == [(0,)]
    assert db.pragma("foreign_keys") == 1
    db.close()


def test_working_does_not_import_what_migrating_needs(path: Path) -> None:
    migrate(path)
    check = (
        "import sys; from pathlib import Path\n"
        "from millrace.adapters.fleet_sql import SqlFleet\n"
        "from millrace.adapters.registry_sql import SqlRegistry\n"
        "from millrace.store.sqlite import migrate\n"
        "from millrace.store.tables import open_tables\n"
        "path = Path(sys.argv[1]); migrate(path)\n"
        "SqlFleet(open_tables(path)).version()\n"
        "SqlRegistry(open_tables(path))\n"
        "loaded = {'sqlalchemy', 'alembic'} & sys.modules.keys()\n"
        "sys.exit(str(loaded) if loaded else 0)\n"
    )
    subprocess.run([sys.executable, "-c", check, str(path)], check=True, timeout=60)


def test_one_reading_is_one_view(path: Path) -> None:
    migrate(path)
    reader, writer = open_store(path, read_only=True), open_store(path)
    count = "SELECT count(*) FROM alert_rules"
    with reading(reader):
        before = reader.execute(count).fetchall()
        writer.execute("DELETE FROM alert_rules")
        assert reader.execute(count).fetchall() == before
        with reading(reader):
            assert reader.execute(count).fetchall() == before
    assert reader.execute(count).fetchall() == [(0,)]
    reader.close()
    writer.close()


def test_a_busy_database_is_worth_another_try(path: Path) -> None:
    migrate(path)
    one, other = open_store(path), open_store(path)
    other.set_busy_timeout(0)
    with transaction(one), pytest.raises(RetryError), transaction(other):
        pytest.fail("two writers at once")
    one.close()
    other.close()
