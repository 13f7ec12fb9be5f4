"""The registry from SQLite keeps the contract."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millrace.adapters.registry_sql import SqlRegistry
from millrace.ports.registry import DeviceQuery, Registry
from millrace.schema.devices import devices
from millrace.store.sqlite import migrate, open_store
from millrace.store.tables import open_tables
from tests.contracts.registry import RegistryContract, fill


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("registry") / "millrace.db"
    migrate(path)
    db = open_store(path)

    def insert(table: str, row: dict[str, Any]) -> None:
        marks = ", ".join("?" * len(row))
        db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608 - names of the test

    fill(insert)
    db.close()
    return path


@pytest.fixture
def registry(path: Path) -> Iterator[Registry]:
    registry = SqlRegistry(open_tables(path))
    yield registry
    registry.close()


class TestSqlRegistry(RegistryContract):
    pass


def test_rows_have_every_column_of_the_table(registry: Registry) -> None:
    assert list(registry.device("m-1")) == [column.name for column in devices.columns]
    assert list(registry.devices(DeviceQuery(limit=1))[0]) == list(registry.device("m-1"))
