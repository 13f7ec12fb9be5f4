"""Floors: the last registry version that touched a device, as far as this process knows.

An answer that was read before that version is none. Source: REG-116.
"""

from collections.abc import Iterable

MAX_DEVICES = 100_000


class Floors:
    """The floor of each device; one for all where too many were touched to tell them apart."""

    def __init__(self, version: int) -> None:
        self._of_all = version
        self._of: dict[str, int] = {}

    def of(self, device_id: str) -> int:
        """Return the lowest version that an answer about a device must have."""
        return max(self._of_all, self._of.get(device_id, 0))

    def touch(self, device_ids: Iterable[str] | None, version: int) -> None:
        """Raise the floors of these devices, or of all of them."""
        if device_ids is not None:
            self._of |= dict.fromkeys(device_ids, version)
        if device_ids is None or len(self._of) > MAX_DEVICES:
            # Not the larger of both: a registry that was restored counts from a lower version.
            self._of_all = version
            self._of.clear()
