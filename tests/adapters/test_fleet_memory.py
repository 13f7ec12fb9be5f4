"""The fleet in memory keeps the contract and counts its writes."""

from dataclasses import replace

import pytest

from millrace.adapters.fleet_memory import MemoryFleet
from millrace.ports.fleet import Fleet
from tests.contracts.fleet import WORLD, FleetContract


class TestMemoryFleet(FleetContract):
    @pytest.fixture
    def fleet(self) -> Fleet:
        return MemoryFleet(WORLD)


def test_writes_are_versions_and_changes() -> None:
    fleet = MemoryFleet(WORLD)
    fleet.put(replace(WORLD[2], location="Yard"))
    fleet.remove("sensors", "temp-1")
    found = fleet.profiles([("meter", "dc-meter-001"), ("sensors", "temp-1")])
    assert found["meter", "dc-meter-001"].location == "Yard"
    assert not found["sensors", "temp-1"].is_known
    assert fleet.changes(1).devices == frozenset({"dc-meter-001", "temp-1"})
    assert fleet.changes(2).devices == frozenset({"temp-1"})
    assert fleet.changes(2).version == 3
    with pytest.raises(KeyError):
        fleet.remove("sensors", "temp-1")
    fleet.close()
