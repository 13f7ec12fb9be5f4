"""F28: a migration killed at any statement has not happened; the next start does it.

Every statement that SQLite runs counts, those that Alembic writes as well as BEGIN and COMMIT.
"""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from millrace.store.sqlite import migrate, stored_revision

POINTS = 12
CHILD = """
import json, os, signal, sys
from pathlib import Path
import apsw
from millrace.store.sqlite import migrate
path, last = Path(sys.argv[1]), int(sys.argv[2])
seen = []
def count(cursor, sql, values):
    seen.append(" ".join(sql.split()[:3]))
    if len(seen) == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return True
apsw.connection_hooks.append(lambda db: setattr(db, "exec_trace", count))
migrate(path)
print(json.dumps(seen))
"""


def run(path: Path, last: int) -> list[str]:
    """Migrate in a process that is killed at its statement `last`; return all statements if not."""
    command = [sys.executable, "-c", CHILD, str(path), str(last)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == -9:
        return []
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def schema(path: Path) -> list[tuple[Any, ...]]:
    with closing(apsw.Connection(str(path))) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        tables = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"
        rows = "SELECT count(*) FROM device_types UNION ALL SELECT count(*) FROM registry_version"
        return [*db.execute(tables).fetchall(), *db.execute(rows).fetchall()]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_f28_a_migration_killed_half_way_has_not_happened(tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    statements = run(whole, 0)
    assert len(statements) > 100
    commit = max(n for n, text in enumerate(statements, 1) if text.startswith("COMMIT"))
    spread = range(1, commit, max(1, commit // POINTS))
    killed = 0
    for last in sorted({*spread, commit - 1, commit, len(statements)}):
        path = tmp_path / f"{last}.db"
        assert run(path, last) == [], f"statement {last} was not reached"
        with closing(apsw.Connection(str(path))) as db:
            if stored_revision(db) is None:
                killed += 1
                assert last <= commit
                assert db.execute("SELECT count(*) FROM sqlite_schema").fetchall() == [(0,)]
        migrate(path)
        assert schema(path) == schema(whole), f"after statement {last}"
        assert migrate(path) is False
    assert killed > POINTS // 2
