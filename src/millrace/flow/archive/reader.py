"""Messages read back from the archive: by name, by position, by device and time.

Source: MTR-136; API-040 to API-042.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator

from millrace.errors import GoneError, NotFoundError
from millrace.flow.archive.layouts import LAYOUTS, Holder
from millrace.flow.archive.manifest import decode, extent_of, manifest_prefix
from millrace.flow.archive.message import ArchivedMessage
from millrace.flow.archive.names import stamp_ns
from millrace.ports.archive import Archive
from millrace.ports.series import Span

_PAGE = 1000
_DIGITS = 6

Place = tuple[int, int, int]


class ArchiveReader:
    """Finds archived messages. Thread-confined."""

    def __init__(self, archive: Archive, layout: str = "device") -> None:
        self._archive = archive
        self._layout = LAYOUTS[layout]
        self._manifests: dict[int, list[tuple[int, str]]] = {}

    def at(self, partition: int, offset: int) -> ArchivedMessage:
        """Return the message at a position of the log.

        Raises:
            NotFoundError: It is not archived: not yet, or it was not stored.
            GoneError: It was archived, and retention has removed it.
        """
        key = self._manifest_of(partition, offset)
        manifest = decode(key, self._archive.get(key))
        holder = manifest.object_of(offset)
        if holder is None:
            raise NotFoundError(f"message {partition}-{offset} was not stored")
        try:
            body = self._archive.get(holder)
        except NotFoundError as error:
            raise GoneError(f"message {partition}-{offset} has been removed") from error
        for message in LAYOUTS[manifest.layout].unpack(holder, body):
            if (message.partition, message.offset) == (partition, offset):
                return message
        raise NotFoundError(f"message {partition}-{offset} is not in {holder}")

    def message(self, device_id: str, category: str, stamp: str) -> ArchivedMessage:
        """Return the message with a name such as 2026-03-01T12-00-00.416368 (or ...-1).

        Raises:
            NotFoundError: There is no such message.
        """
        whole, _, fraction = stamp.partition(".")
        try:
            first_ns = stamp_ns(f"{whole}.{fraction[:_DIGITS]}")
        except ValueError as error:
            raise NotFoundError(f"{stamp!r} is not the name of a message") from error
        span = Span(first_ns, first_ns + 1000)
        for message in self.messages(device_id, span, category=category):
            if message.stamp == stamp:
                return message
        raise NotFoundError(f"{device_id} has no archived {category} message {stamp}")

    def messages(
        self,
        device_id: str,
        span: Span,
        *,
        category: str = "",
        prefix: str = "",
        descending: bool = True,
        after: Place | None = None,
    ) -> Iterator[ArchivedMessage]:
        """Yield the messages of a device in order of receipt, newest first unless asked otherwise.

        Shape: `category` is matched exactly, `prefix` against `category/stamp.json`; `after` is
        `order` of the last message of the page before.
        """
        folder, slash, _ = prefix.partition("/")
        holders = self._holders(device_id, category or (folder if slash else ""), span)
        for message in self._in_order(holders, device_id, descending=descending):
            is_beyond = after is None or (
                message.order < after if descending else message.order > after
            )
            name = message.filename.partition("/")[2]
            if (
                is_beyond
                and span.start_ns <= message.received_at_ns < span.stop_ns
                and name.startswith(prefix)
            ):
                yield message

    def _in_order(
        self, holders: list[Holder], device_id: str, *, descending: bool
    ) -> Iterator[ArchivedMessage]:
        """Read objects one after the other and yield what no later one can come before."""
        waiting: list[ArchivedMessage] = []
        sign = -1 if descending else 1

        def edge(holder: Holder) -> int:
            return -holder.last_ns if descending else holder.first_ns

        def place(message: ArchivedMessage) -> Place:
            time_ns, partition, offset = message.order
            return sign * time_ns, sign * partition, sign * offset

        for holder in sorted(holders, key=edge):
            ready = bisect_right(waiting, (edge(holder) - 1, 2**62, 2**62), key=place)
            yield from waiting[:ready]
            del waiting[:ready]
            for message in self._read(holder):
                if message.device_id == device_id:
                    insort(waiting, message, key=place)
        yield from waiting

    def _read(self, holder: Holder) -> list[ArchivedMessage]:
        try:
            return self._layout.unpack(holder.key, self._archive.get(holder.key))
        except NotFoundError:
            return []  # retention has just removed it

    def _holders(self, device_id: str, category: str, span: Span) -> list[Holder]:
        found = []
        for key in self._keys(self._layout.prefix(device_id, category)):
            holder = self._layout.holder(key)
            if (
                holder is not None
                and holder.last_ns >= span.start_ns
                and holder.first_ns < span.stop_ns
            ):
                found.append(holder)
        return found

    def _keys(self, prefix: str, after: str = "") -> Iterator[str]:
        while page := [one.key for one in self._archive.list(prefix, after, _PAGE)]:
            yield from page
            after = page[-1]

    def _manifest_of(self, partition: int, offset: int) -> str:
        known = self._manifests.setdefault(partition, [])
        if not known or extent_of(known[-1][1])[1] < offset:
            after = known[-1][1] if known else ""
            known += [
                (extent_of(key)[0], key) for key in self._keys(manifest_prefix(partition), after)
            ]
        place = bisect_right(known, (offset, "\U0010ffff")) - 1
        if place < 0 and known:
            raise GoneError(f"message {partition}-{offset} is older than the archive")
        if place < 0 or extent_of(known[place][1])[1] < offset:
            raise NotFoundError(f"message {partition}-{offset} is not archived")
        return known[place][1]
