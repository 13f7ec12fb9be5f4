"""The registry of every database keeps the contract."""

import pytest

from millrace.adapters.registry_sql import SqlRegistry
from millrace.ports.registry import DeviceQuery, Registry
from millrace.schema.devices import devices
from tests.contracts.registry import RegistryContract, fill
from tests.servers.tables import Stored


@pytest.fixture
def registry(stored: Stored) -> Registry:
    fill(stored.insert)
    return SqlRegistry(stored.open())


class TestSqlRegistry(RegistryContract):
    pass


def test_rows_have_every_column_of_the_table(registry: Registry) -> None:
    assert list(registry.device("m-1")) == [column.name for column in devices.columns]
    assert list(registry.devices(DeviceQuery(limit=1))[0]) == list(registry.device("m-1"))
