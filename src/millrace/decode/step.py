"""The decode step: every message of the work through the plan of its topic. Pure codec only.

A message that cannot be read at all becomes one dead letter and leaves nothing else behind. A bug
in a codec must not stop the stream: whatever it raises becomes the dead letter `decoder_error`.
Source: D-26, F2-026, MTR-037.
"""

from collections.abc import Iterable
from itertools import count

from millrace.decode.router import Route, Router
from millrace.errors import RejectError
from millrace.model.event import DeadLetter
from millrace.model.work import Work

Columns = Iterable[tuple[Route, bytes, int, int, int]]


def decode(work: Work, router: Router) -> Work:
    """Decode all messages; every topic must have its route already.

    Shape: fills `decoded`, `labels`, `device_ids`, `rejected` and `unknown` of the work.
    """
    routes = router.routes
    for batch, base in zip(work.batches, work.bases, strict=True):
        found = [routes[topic] for topic in batch.topics]
        work.labels += [route.label for route in found]
        work.device_ids += [route.device_id for route in found]
        columns = zip(found, batch.payloads, batch.received_at_ns, batch.flags, count(base))
        _decode_batch(work, columns)
        if router.unknown:
            work.unknown += [base + i for i, route in enumerate(found) if route.is_unknown]
    return work


def _decode_batch(work: Work, columns: Columns) -> None:
    out = work.decoded
    for route, payload, received_at_ns, flags, message in columns:
        out.message = message
        try:
            route.decode(payload, received_at_ns, flags, out)
        except RejectError as error:
            _reject(work, message, error)
        except Exception as error:  # noqa: BLE001 - totality: a codec's bug costs one message
            _reject(work, message, RejectError("decoder_error", type(error).__name__))


def _reject(work: Work, message: int, error: RejectError) -> None:
    work.decoded.rewind(message)
    work.rejected[message] = error.reason
    work.decoded.dead_letters.append(
        DeadLetter(error.reason, error.element, error.index, error.detail, message)
    )
