"""The registry from SQLite keeps the contract."""

from collections.abc import Iterator
from contextlib import closing
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


def test_a_series_that_is_known_gets_its_unit_when_it_has_one(tmp_path: Path) -> None:
    path = tmp_path / "millrace.db"
    migrate(path)
    with closing(open_store(path)) as db, closing(SqlRegistry(open_tables(path))) as registry:
        db.execute("INSERT INTO series (device_id, metric, created_at) VALUES ('m', 'v', '')")
        assert [row.unit for row in registry.series(["m"])] == [None]
        db.execute("UPDATE series SET unit = 'V'")
        assert [row.unit for row in registry.series(["m"])] == ["V"]
        db.execute("INSERT INTO series (device_id, metric, created_at) VALUES ('m', 'a', '')")
        assert [row.key.metric for row in registry.series(["m"])] == ["v", "a"]
