"""What the simulator takes from the registry: the rows of the devices that it plays.

Without a data folder, or with one that has no controllers, it plays the demo rows; they are read
from a registry that is made for the purpose, so both ways give the same profiles.
Source: F2-170, REG-130, MTR-150, SNS-100.
"""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from millrace.adapters.clock_system import SystemClock
from millrace.adapters.fleet_sql import SqlFleet
from millrace.adapters.registry_sql import SqlRegistry
from millrace.model.device import DeviceProfile
from millrace.ports.clock import Clock
from millrace.ports.registry import DeviceQuery
from millrace.schema import seeds
from millrace.settings import Settings
from millrace.store.seeding import seed
from millrace.store.sqlite import migrate, open_store
from millrace.wiring import places

CONTROLLERS_MOST: Final = 100_000

Profiles = dict[str, list[DeviceProfile]]


def system_clock() -> Clock:
    """Return the clock of the machine."""
    return SystemClock()


def simulated_profiles(settings: Settings) -> Profiles:
    """Return by family the devices to play: controllers, meters and sensors that are known.

    Raises:
        StopError: The registry is of another release.
        RetryError: It cannot be read at the moment.
    """
    path = places.store_path(settings)
    if path.is_file():
        found = _read(path)
        if found["f2"]:
            return found
    return demo_profiles()


def demo_profiles() -> Profiles:
    """Return the devices of the demo rows, as a fresh registry has them."""
    with TemporaryDirectory(prefix="millrace-") as folder:
        path = Path(folder) / "demo.db"
        migrate(path)
        with closing(open_store(path)) as db:
            seed(db, "demo", at_ns=0)
        return _read(path)


def _read(path: Path) -> Profiles:
    rows = seeds.STANDALONE
    wanted = {
        family: [str(row["device_id"]) for row in rows if row["family"] == family]
        for family in ("meter", "sensors")
    }
    wanted["f2"] = _controllers(path)
    with closing(SqlFleet(path)) as fleet:
        keys = [(family, device_id) for family, ids in wanted.items() for device_id in ids]
        found = fleet.profiles(keys)
    return {
        family: [found[family, device_id] for device_id in ids if found[family, device_id].is_known]
        for family, ids in wanted.items()
    }


def _controllers(path: Path) -> list[str]:
    """Return the controllers that may speak, the oldest first."""
    with closing(SqlRegistry(path)) as registry:
        rows = registry.devices(DeviceQuery(family="f2", limit=CONTROLLERS_MOST))
    playing = [row for row in rows if row["role"] != "attached" and row["status"] == "active"]
    return [row["device_id"] for row in sorted(playing, key=lambda row: row["id"])]
