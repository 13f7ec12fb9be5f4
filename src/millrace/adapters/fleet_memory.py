"""A fleet that is held in memory, for previews and tests.

Source: REG-090, REG-118 (the same answers as from the database).
"""

from collections.abc import Iterable, Sequence

from millrace.model.device import DeviceProfile, unknown
from millrace.ports.fleet import Changes
from millrace.schema.identity import f2_device_id


class MemoryFleet:
    """Profiles by family and device id; see `ports.fleet.Fleet`."""

    def __init__(self, profiles: Iterable[DeviceProfile] = ()) -> None:
        self._profiles = {(each.family, each.device_id): each for each in profiles}
        self._history: list[str] = []

    def version(self) -> int:
        return 1 + len(self._history)

    def profiles(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], DeviceProfile]:
        return {key: self._profile(*key) for key in keys}

    def changes(self, since: int) -> Changes:
        if not 1 <= since <= self.version():
            return Changes(self.version(), None)
        return Changes(self.version(), frozenset(self._history[since - 1 :]))

    def close(self) -> None:
        pass

    def put(self, profile: DeviceProfile) -> None:
        """Add or replace a device, as one registry write."""
        self._profiles[profile.family, profile.device_id] = profile
        self._history.append(profile.device_id)

    def remove(self, family: str, device_id: str) -> None:
        """Delete a device, as one registry write. Raises: KeyError."""
        del self._profiles[family, device_id]
        self._history.append(device_id)

    def _profile(self, family: str, device_id: str) -> DeviceProfile:
        own = (f2_device_id(device_id) or device_id) if family == "f2" else device_id
        return self._profiles.get((family, own)) or unknown(own, family)
