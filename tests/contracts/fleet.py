"""What `ports.fleet.Fleet` means; every adapter passes the same suite.

The adapter under test holds the devices of `WORLD`, and nothing else.
"""

import pytest

from millrace.model.device import (
    Attached,
    DataPoint,
    DeviceProfile,
    Parameter,
    TemplateVersion,
    unknown,
)
from millrace.ports.fleet import Fleet

ACTIVATED_NS = 1_751_457_600_000_000_000
CONTROLLER = "f2-e4fd45f654be"

POINTS = (
    DataPoint(1, "Temperature", "Int16", 3, 2, decimals=2, append=" °C"),
    DataPoint(2, "Alarm", "Bit(3)", 5, 1),
)

WORLD = (
    DeviceProfile(
        CONTROLLER,
        "f2",
        device_type="controller",
        time_zone="Europe/Berlin",
        pins={
            (1, 4): Attached(
                "dev-2", (TemplateVersion(1, POINTS, "modbus", activated_at_ns=ACTIVATED_NS),)
            )
        },
        parameters=(
            Parameter(1, "sensor-mode", "sensor", "3", "hex_to_float", "celsius", 0.1),
            Parameter(2, "access-control-mode", "reader", None, "raw_string", "text"),
        ),
    ),
    DeviceProfile("gate_7", "f2", registered=False, status="discovered"),
    DeviceProfile(
        "dc-meter-001",
        "meter",
        device_type="power_meter_dc",
        location="Depot",
        fw_version="2.1.0",
        metadata={"send_interval_s": 10},
    ),
    DeviceProfile("temp-1", "sensors", status="maintenance"),
)


class FleetContract:
    """Subclasses give the fixture `fleet`."""

    @pytest.mark.parametrize("profile", WORLD, ids=[each.device_id for each in WORLD])
    def test_known_devices_come_back_whole(self, fleet: Fleet, profile: DeviceProfile) -> None:
        key = (profile.family, profile.device_id)
        assert fleet.profiles([key]) == {key: profile}

    def test_a_batch_is_answered_key_by_key(self, fleet: Fleet) -> None:
        keys = [(each.family, each.device_id) for each in WORLD]
        keys += [("meter", f"nobody-{n}") for n in range(2000)]
        found = fleet.profiles(keys)
        assert list(found) == keys
        assert [key for key in keys if found[key].is_known] == keys[: len(WORLD)]

    def test_no_keys_no_answers(self, fleet: Fleet) -> None:
        assert fleet.profiles([]) == {}

    def test_unknown_devices_are_a_value_too(self, fleet: Fleet) -> None:
        found = fleet.profiles([("meter", "nobody"), ("f2", "F2-00:11:22:33:44:55")])
        assert found == {
            ("meter", "nobody"): unknown("nobody", "meter"),
            ("f2", "F2-00:11:22:33:44:55"): unknown("f2-001122334455", "f2"),
        }

    @pytest.mark.parametrize(
        "level",
        [
            "F2-E4FD45F654BE",
            "f2-e4:fd:45:f6:54:be",
            "f2-e4-fd-45-f6-54-be",
            "e4fd45f654be",
            "E4:FD:45:F6:54:BE",
        ],
    )
    def test_controllers_are_found_in_every_spelling(self, fleet: Fleet, level: str) -> None:
        assert fleet.profiles([("f2", level)]) == {("f2", level): WORLD[0]}

    def test_other_ids_are_exact(self, fleet: Fleet) -> None:
        keys = [("meter", "DC-meter-001"), ("sensors", "temp-1 "), ("f2", "Gate_7")]
        assert not any(profile.is_known for profile in fleet.profiles(keys).values())

    def test_nothing_has_changed_since_the_version_now(self, fleet: Fleet) -> None:
        version = fleet.version()
        assert version >= 1
        changes = fleet.changes(version)
        assert changes.version == version
        assert changes.devices == frozenset()

    def test_a_version_that_never_was_means_anything(self, fleet: Fleet) -> None:
        assert fleet.changes(fleet.version() + 5).devices is None
