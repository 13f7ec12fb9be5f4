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
from millrace.model.device import DeviceProfile
from millrace.ports.clock import Clock
from millrace.ports.registry import DeviceQuery
from millrace.schema import seeds
from millrace.settings import Settings
from millrace.store.seeding import seed
from millrace.store.tables import open_tables
from millrace.wiring import stores
from millrace.wiring.store_system import Store
from millrace.wiring.stores_sqlite import migrate_file, open_file

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
    if stores.is_there(settings):
        with stores.open_store(settings) as store:
            found = _read(store)
        if found["f2"]:
            return found
    return demo_profiles()


def demo_profiles() -> Profiles:
    """Return the devices of the demo rows, as a fresh registry has them."""
    with TemporaryDirectory(prefix="millrace-") as folder:
        path = Path(folder) / "demo.db"
        migrate_file(path)
        with closing(open_tables(path, read_only=False)) as tables:
            seed(tables, "demo", at_ns=0)
        with open_file(path) as store:
            return _read(store)


def _read(store: Store) -> Profiles:
    rows = seeds.STANDALONE
    wanted = {
        family: [str(row["device_id"]) for row in rows if row["family"] == family]
        for family in ("meter", "sensors")
    }
    wanted["f2"] = _controllers(store)
    keys = [(family, device_id) for family, ids in wanted.items() for device_id in ids]
    found = store.fleet().profiles(keys)
    return {
        family: [found[family, device_id] for device_id in ids if found[family, device_id].is_known]
        for family, ids in wanted.items()
    }


def _controllers(store: Store) -> list[str]:
    """Return the controllers that may speak, the oldest first."""
    rows = store.registry().devices(DeviceQuery(family="f2", limit=CONTROLLERS_MOST))
    playing = [row for row in rows if row["role"] != "attached" and row["status"] == "active"]
    return [row["device_id"] for row in sorted(playing, key=lambda row: row["id"])]
