"""What would become of a message: decoding with the live registry, and nothing written.

Source: API-044, D-58.
"""

from collections.abc import Sequence
from typing import Any

from millrace.decode.router import Router
from millrace.decode.step import decode
from millrace.model.codec import Codec
from millrace.model.event import Event
from millrace.model.instants import format_instant
from millrace.model.message import REPLAYED, RETAIN, RawBatch
from millrace.model.quality import names
from millrace.model.series import SeriesBook
from millrace.model.work import Work, gather
from millrace.ports.clock import Clock
from millrace.ports.fleet import Fleet


class Previewer:
    """Decodes single messages. Thread-confined, like the fleet it asks."""

    def __init__(self, codecs: Sequence[Codec], fleet: Fleet, clock: Clock) -> None:
        self._codecs = codecs
        self._fleet = fleet
        self._clock = clock

    def preview(
        self, topic: str, payload: bytes, *, at_ns: int | None = None, retain: bool = False
    ) -> dict[str, Any]:
        """Return the answer of API-044 for a message received at `at_ns` (None: this instant)."""
        book = SeriesBook()
        router = Router(self._codecs, book)
        batch = RawBatch(0, 0)
        at_ns = self._clock.now_ns() if at_ns is None else at_ns
        batch.add(topic, payload, at_ns, flags=RETAIN | REPLAYED if retain else 0)
        wanted = router.missing(batch.topics)
        if wanted:
            router.learn(wanted, self._fleet.profiles(list(wanted)))
        return _answer(decode(gather([batch], 0), router), book)


def _answer(work: Work, book: SeriesBook) -> dict[str, Any]:
    out = work.decoded
    points, events = _points(work, book), [_event(event) for event in out.events]
    letters = [
        {"reason": x.reason, "element": x.element, "index": x.index, "detail": x.detail}
        for x in out.dead_letters
    ]
    family, category = work.labels[0]
    is_letter = bool(letters) and not points and not events
    return {
        "family": family,
        "category": category,
        "device_id": work.device_ids[0],
        "outcome": "dead_letter" if is_letter else "stored",
        "points": points,
        "dead_letter": letters,
        "events": events,
        "alerts": [],
    }


def _points(work: Work, book: SeriesBook) -> list[dict[str, Any]]:
    points = []
    columns = (column.tolist() for column in work.readings)
    for _, number, time_ns, value, flags in zip(*columns, strict=True):
        slot = book.slots[number]
        points.append(
            {
                **slot.key._asdict(),
                "value": value,
                "unit": slot.unit,
                "time": format_instant(time_ns),
                "quality": names(flags),
            }
        )
    return points


def _event(event: Event) -> dict[str, Any]:
    return {
        "type": event.type,
        "device_id": event.device_id,
        "time": format_instant(event.time_ns),
        "quality": names(event.flags),
        "data": event.data,
    }
