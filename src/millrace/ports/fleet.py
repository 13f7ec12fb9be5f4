"""The fleet: what the registry knows, as far as the pipeline needs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from millrace.model.device import DeviceProfile


@dataclass(frozen=True, slots=True)
class Changes:
    """Devices whose decoding may have changed; `devices` None means any of them."""

    version: int
    devices: frozenset[str] | None


class Fleet(Protocol):
    """Look-ups in the registry. Thread-confined."""

    def version(self) -> int:
        """Return the registry version (REG-100). Raises: RetryError."""
        ...

    def profiles(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], DeviceProfile]:
        """Return a profile for each (family, device_id); unknown devices get `is_known=False`.

        F2 controllers are found by MAC before device_id, both normalised (REG-090, F2-003).
        Raises:
            RetryError: The registry cannot be reached; never answered as "unknown" (REG-118).
        """
        ...

    def changes(self, since: int) -> Changes:
        """Return whose decoding changed after version `since`, and the version now."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...
