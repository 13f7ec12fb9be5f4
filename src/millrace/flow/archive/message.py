"""A message as the archive keeps it.

Source: MTR-131 to MTR-136.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from millrace.flow.archive.names import encode_id, stamp


@dataclass(frozen=True, slots=True)
class ArchivedMessage:
    """One message with its address.

    Units: `received_at_ns` UTC nanoseconds. `number` counts messages of one device, category and
    microsecond, in log order; together they are the name of the message. `object_key` is where it
    was found, empty before it is written.
    """

    device_id: str
    category: str
    received_at_ns: int
    topic: str
    qos: int
    retain: bool
    partition: int
    offset: int
    payload: bytes
    number: int = 0
    object_key: str = ""

    @property
    def position(self) -> str:
        """Place in the log, as text."""
        return f"{self.partition}-{self.offset}"

    @property
    def stamp(self) -> str:
        """Name of the message among those of its device and category."""
        text = stamp(self.received_at_ns)
        return f"{text}-{self.number}" if self.number else text

    @property
    def filename(self) -> str:
        """Name of the message, whatever the layout (MTR-136)."""
        return f"{encode_id(self.device_id)}/{encode_id(self.category)}/{self.stamp}.json"

    @property
    def order(self) -> tuple[int, int, int]:
        """What messages are sorted by."""
        return self.received_at_ns, self.partition, self.offset


def numbered(messages: Iterable[ArchivedMessage]) -> list[ArchivedMessage]:
    """Return messages, given in log order, with `number` filled in."""
    seen: Counter[tuple[str, str, int]] = Counter()
    result = []
    for message in messages:
        name = (message.device_id, message.category, message.received_at_ns // 1000)
        count = seen[name]
        seen[name] += 1
        result.append(replace(message, number=count) if count != message.number else message)
    return result
