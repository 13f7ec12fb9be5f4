"""What became of the messages, as it was committed with the positions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Account:
    """One consistent view of outcomes and positions.

    `outcomes` maps (outcome, family, detail) to a number of messages; `positions` maps a partition
    to the offset of the next message that has no outcome yet. `auto_devices` of the `devices` have
    registered themselves, `online_devices` are connected as far as they said. `store_name` differs
    from that of every other store, and from that of this one after it was made anew.
    """

    outcomes: Mapping[tuple[str, str, str], int]
    positions: Mapping[int, int]
    open_letters: int = 0
    devices: int = 0
    auto_devices: int = 0
    online_devices: int = 0
    open_alerts: int = 0
    store_name: str = ""


class Accounts(Protocol):
    """Read access to the books. Thread-confined."""

    def read(self, reader: str = "process") -> Account:
        """Return the account of a reader, in one read transaction. Raises: RetryError."""
        ...

    def needed(self) -> dict[int, int]:
        """Return per partition the first offset that a reader or a snapshot still needs."""
        ...

    def close(self) -> None:
        """Release the connection."""
        ...
