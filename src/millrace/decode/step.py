"""The decode step: every message of the work through the plan of its topic. Pure codec only.

A message that cannot be read at all becomes one dead letter and leaves nothing else behind. A bug
in a codec must not stop the stream: whatever it raises becomes the dead letter `decoder_error`.
Source: D-26, F2-026, MTR-037.
"""

from collections.abc import Iterable, Sequence
from itertools import count
from operator import attrgetter

from millrace.decode.router import Route, Router
from millrace.errors import RejectError
from millrace.model.codec import Messages, Together
from millrace.model.event import DeadLetter
from millrace.model.message import RawBatch
from millrace.model.work import Work

Columns = Iterable[tuple[Route, bytes, int, int, int]]

# Fewer messages are decoded one by one: whole columns have a price of their own.
TOGETHER_LEAST = 8


def decode(work: Work, router: Router) -> Work:
    """Decode all messages; every topic must have its route already.

    Shape: fills `decoded`, `readings`, `labels`, `device_ids`, `rejected` and `unknown`.
    """
    routes = router.routes
    for batch, base in zip(work.batches, work.bases, strict=True):
        found = [routes[topic] for topic in batch.topics]
        work.labels += [route.label for route in found]
        work.device_ids += [route.device_id for route in found]
        rows = zip(found, batch.payloads, batch.received_at_ns, batch.flags, count(base))
        taken = _decode_together(work, batch, base, found)
        _decode_singly(work, (row for row in rows if row[4] not in taken) if taken else rows)
        if router.unknown:
            work.unknown += [base + i for i, route in enumerate(found) if route.is_unknown]
    work.decoded.facts.sort(key=attrgetter("message"))
    work.readings = work.decoded.columns()
    return work


def _decode_together(work: Work, batch: RawBatch, base: int, found: Sequence[Route]) -> set[int]:
    """Decode what goes together; return the numbers of the messages that are done."""
    groups: dict[Together, list[int]] = {}
    for i, route in enumerate(found):
        if route.together is not None:
            groups.setdefault(route.together, []).append(i)
    taken: set[int] = set()
    for together, indices in groups.items():
        if len(indices) >= TOGETHER_LEAST:
            messages = Messages(
                [found[i].plan for i in indices],
                [batch.payloads[i] for i in indices],
                [batch.received_at_ns[i] for i in indices],
                [batch.flags[i] for i in indices],
                [base + i for i in indices],
            )
            left = together.decode(messages, work.decoded)
            taken.update(messages.numbers)
            taken.difference_update(messages.numbers[i] for i in left)
    return taken


def _decode_singly(work: Work, columns: Columns) -> None:
    out = work.decoded
    for route, payload, received_at_ns, flags, message in columns:
        out.message = message
        try:
            route.decode(payload, received_at_ns, flags, out)
        except RejectError as error:
            _reject(work, message, error)
        except MemoryError:
            raise  # no fault of the message; it is read again when there is memory
        except Exception as error:  # noqa: BLE001 - totality: a codec's bug costs one message
            _reject(work, message, RejectError("decoder_error", type(error).__name__))


def _reject(work: Work, message: int, error: RejectError) -> None:
    work.decoded.rewind(message)
    work.rejected[message] = error.reason
    work.decoded.dead_letters.append(
        DeadLetter(error.reason, error.element, error.index, error.detail, message)
    )
