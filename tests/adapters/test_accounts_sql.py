"""The books of a store: counts for the dashboard, and the name of a store."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from millrace.adapters.accounts_sql import SqlAccounts
from millrace.store.sqlite import migrate, open_store
from millrace.store.tables import open_tables

ROWS = """
INSERT INTO devices (device_id, device_name, connection_status) VALUES ('a', 'a', 'online'),
  ('b', 'b', 'offline'), ('c', 'c', 'online');
INSERT INTO device_alerts (device_id, status) VALUES ('a', 'open'), ('b', 'open'),
  ('b', 'resolved'), ('c', 'open');
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "millrace.db"
    migrate(path)
    return path


def test_sns_062_who_is_online_and_which_alerts_are_open(path: Path) -> None:
    with closing(open_store(path)) as db:
        db.execute(ROWS)
    with closing(SqlAccounts(open_tables(path))) as accounts:
        account = accounts.read()
    assert (account.online_devices, account.open_alerts) == (2, 3)


def test_a_store_made_anew_has_another_name(path: Path) -> None:
    names = set()
    for _ in range(2):
        with closing(SqlAccounts(open_tables(path))) as accounts:
            names.add(accounts.read().store_name)
    assert len(names) == 1
    path.unlink()
    time.sleep(0.01)  # names are instants
    migrate(path)
    with closing(SqlAccounts(open_tables(path))) as accounts:
        names.add(accounts.read().store_name)
    assert len(names) == 2
    assert all(name.isdecimal() for name in names)
