"""The ledger in memory: the same promises for as long as the process lives.

For tests and previews. Nothing is copied in before everything has been checked, so a refused
commit leaves no trace here either.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace

from millrace.errors import FencedError, StaleError
from millrace.flow.hot_frame import seal_hot
from millrace.model.latest_page import Cover, complete_to, covers, merged
from millrace.model.series import SeriesKey
from millrace.model.work import (
    Committed,
    DeviceTouch,
    Effects,
    EventRow,
    LatestPage,
    LatestPages,
    LetterRow,
    SequenceRow,
    SequenceShown,
    Tally,
)
from millrace.ports.ledger import Claim, HotBatch

Place = tuple[str, str, int]


class LedgerBooks:
    """What several holders of one memory ledger share, as they would share a database."""

    def __init__(self) -> None:
        self.registry_version = 1
        self.positions: dict[Place, int] = {}
        self.epochs: dict[Place, int] = {}
        self.series: dict[SeriesKey, int] = {}
        self.attributes: dict[str, int] = {}
        self.hot: list[HotBatch] = []
        self.commits = 0
        self.events: list[EventRow] = []
        self.letters: dict[tuple[str, int, int, str, str], LetterRow] = {}
        self.counts: Counter[Tally] = Counter()
        self.devices: dict[str, DeviceTouch] = {}
        self.snapshots: dict[str, dict[int, int]] = {}
        self.paces: dict[int, int] = {}
        self.sequences: dict[str, SequenceRow] = {}
        self.shown: dict[str, SequenceShown] = {}
        self.latest: tuple[int, dict[int, LatestPage]] = (0, {})
        self.covers: dict[int, Cover] = {}


class MemoryLedger:
    """See `ports.ledger.Ledger` and `ports.ledger.HotReadings`."""

    def __init__(self, books: LedgerBooks | None = None) -> None:
        self.books = books or LedgerBooks()
        self._epochs: dict[Place, int] = {}

    def claim(self, reader: str, stream: str, partitions: Sequence[int]) -> Claim:
        held = {}
        for partition in partitions:
            place = (reader, stream, partition)
            epoch = self.books.epochs.get(place, 0) + 1
            self.books.epochs[place] = self._epochs[place] = epoch
            held[partition] = self.books.positions.setdefault(place, 0)
        return Claim(held, {p: due for p, due in self.books.paces.items() if p in held})

    def commit(self, effects: Effects) -> Committed:
        self._check(effects)
        books = self.books
        for move in effects.advances:
            books.positions[effects.reader, effects.stream, move.partition] = move.next_offset
        series_ids = [
            books.series.setdefault(new.key, len(books.series) + 1) for new in effects.new_series
        ]
        attr_ids = [
            books.attributes.setdefault(body, len(books.attributes) + 1)
            for body in effects.new_attributes
        ]
        readings = effects.readings.named(series_ids, attr_ids)
        if len(readings):
            books.commits += 1
            frame = seal_hot(readings)
            books.hot.append(HotBatch(books.commits, effects.now_ns, len(readings), frame))
        self._store(effects)
        return Committed(books.commits, books.registry_version, series_ids, attr_ids)

    def series(self, device_ids: Sequence[str]) -> list[tuple[SeriesKey, int]]:
        wanted = set(device_ids)
        return [row for row in self.books.series.items() if row[0].device_id in wanted]

    def snapshot(self, reader: str) -> tuple[dict[int, int], list[SequenceRow]]:
        return dict(self.books.snapshots.get(reader, {})), list(self.books.sequences.values())

    def latest_pages(self) -> tuple[int, list[LatestPage]]:
        """Return the stored pages of latest values, and the hot batch they are complete to."""
        through_id, pages = self.books.latest
        return through_id, list(pages.values())

    def hot(self, after_id: int, limit: int = 1000) -> list[HotBatch]:
        return [batch for batch in self.books.hot if batch.id > after_id][:limit]

    def forget_hot(self, up_to_id: int) -> int:
        before = len(self.books.hot)
        last = min(up_to_id, self.books.latest[0])
        self.books.hot = [batch for batch in self.books.hot if batch.id > last]
        return before - len(self.books.hot)

    def close(self) -> None:
        """Nothing to release."""

    def _check(self, effects: Effects) -> None:
        for move in effects.advances:
            place = (effects.reader, effects.stream, move.partition)
            is_mine = self._epochs.get(place) == self.books.epochs.get(place)
            if not is_mine or self.books.positions.get(place) != move.expected:
                raise FencedError(f"partition {move.partition} belongs to somebody else")
        if self.books.registry_version != effects.registry_version:
            raise StaleError("the registry moved")

    def _store(self, effects: Effects) -> None:
        books = self.books
        books.events += effects.events
        for row in effects.letters:
            key = (effects.stream, row.partition, row.offset, row.letter.element, row.letter.reason)
            books.letters.setdefault(key, row)
        books.counts.update(effects.counts)
        for found in effects.discovered:
            books.devices.setdefault(found.device_id, DeviceTouch())
        books.registry_version += bool(effects.discovered)
        books.paces.update(effects.paces)
        for device_id, touch in effects.touches.items():
            if device_id in books.devices:
                shown = {k: v for k, v in asdict(touch).items() if v is not None}
                books.devices[device_id] = replace(books.devices[device_id], **shown)
        books.shown.update({row.device_id: row for row in effects.sequences})
        if effects.latest is not None:
            self._store_latest(effects, effects.latest)
        if effects.snapshot is not None:
            positions = books.snapshots.setdefault(effects.reader, {})
            positions.update(effects.snapshot.positions)
            books.sequences.update({row.device_id: row for row in effects.snapshot.sequence})

    def _store_latest(self, effects: Effects, latest: LatestPages) -> None:
        books, own = self.books, (effects.reader, effects.stream)
        before, pages = books.latest
        positions = {place[2]: at for place, at in books.positions.items() if place[:2] == own}
        written = covers(latest)
        through_id = complete_to(written, books.covers, positions, before)
        books.covers.update(written)
        frames = {number: page.frame for number, page in pages.items()}
        fresh = {
            page.page: LatestPage(page.page, merged(frames.get(page.page), page.frame))
            for page in latest.pages
        }
        books.latest = (through_id, {**pages, **fresh})
