"""What the simulator takes from the registry. F2-170, REG-130."""

from contextlib import closing
from pathlib import Path

import pytest

from millrace.errors import UsageError
from millrace.settings import Settings
from millrace.simulate.plan import FAMILIES, Plan, demo, devices
from millrace.store.seeding import seed
from millrace.store.sqlite import migrate, open_store
from millrace.store.tables import SqliteTables
from millrace.wiring.simulated import simulated_profiles
from tests.simulate.worlds import START_NS


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the demo rows and one more controller."""
    folder = tmp_path_factory.mktemp("data")
    migrate(folder / "millrace.db")
    with closing(open_store(folder / "millrace.db")) as db:
        seed(SqliteTables(db), "demo", at_ns=START_NS)
        db.execute(
            "INSERT INTO devices (device_id, family, role, device_name, mac_address, created_at,"
            " updated_at) SELECT 'f2-0000000000ff', family, role, 'More', '0000000000ff',"
            " created_at, updated_at FROM devices WHERE id = 1"
        )
    return folder


def test_without_a_data_folder_the_demo_rows_are_played(tmp_path: Path) -> None:
    known = simulated_profiles(Settings(data=tmp_path / "nothing"))
    assert [one.device_id for one in known["f2"]] == [
        "f2-e4fd45f654be",
        "f2-abc123def456",
        "f2-123456abcdef",
    ]
    wired = {place: at.device_id for one in known["f2"] for place, at in one.pins.items()}
    assert wired == {
        (1, 1): "dev-7", (2, 2): "dev-5", (4, 3): "dev-6", (1, 2): "dev-8",
    }  # fmt: skip
    assert len(known["meter"]) == 3
    assert len(known["sensors"]) == 5
    assert not list(tmp_path.iterdir())


def test_the_registry_is_read_where_there_is_one(seeded: Path) -> None:
    known = simulated_profiles(Settings(data=seeded))
    assert [one.device_id for one in known["f2"]][3:] == ["f2-0000000000ff"]
    assert {point.label for point in known["f2"][0].pins[1, 1].versions[0].data_points} == {
        "Temperature",
        "Humidity",
        "CO2",
    }


def test_devices_are_those_of_the_registry_then_made_up(seeded: Path) -> None:
    known = simulated_profiles(Settings(data=seeded))
    names = {
        family: [one.device_id for one in devices(Plan(family, 7), known, START_NS)]
        for family in FAMILIES
    }
    assert names["f2"][2:5] == ["f2-123456abcdef", "f2-0000000000ff", "f2-510000000001"]
    assert names["meters"] == [
        "dc-meter-001", "dc-meter-002", "ac-meter-001",
        "meter-004", "meter-005", "meter-006", "meter-007",
    ]  # fmt: skip
    assert names["sensors"][:2] == ["temp-office-1", "temp-server-1"]
    assert names["sensors"][5:] == ["humidity-00006", "motion-00007"]
    assert len({one.device_id for one in demo(known, 0, START_NS)}) == 3 + 3 + 5 + 60


def test_no_devices_are_a_mistake() -> None:
    with pytest.raises(UsageError):
        devices(Plan("f2", 0), {}, START_NS)
