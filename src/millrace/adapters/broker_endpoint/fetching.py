"""Messages of offline queues, read from the log again in a thread.

Source: D-16.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from millrace.adapters.broker_endpoint.hub import Hub
from millrace.adapters.broker_endpoint.session import Delivery, Message, Session
from millrace.errors import GoneError, MillraceError, StopError
from millrace.model.message import QOS_MASK, RETAIN, RawBatch
from millrace.mqtt.reasons import UNSPECIFIED_ERROR
from millrace.ports.log import LogReader

Fetched = list[RawBatch | None]


class LogFetcher:
    """Reads positions of the log in one thread, in the order of the requests."""

    def __init__(self, hub: Hub, reader: LogReader) -> None:
        self._hub = hub
        self._reader = reader
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="offline-queue")

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)

    def fetch(self, session: Session, wanted: list[Delivery]) -> None:
        """Read what `wanted` points at and hand it to the session's queue."""
        refs = [delivery.ref for delivery in wanted]
        loop = asyncio.get_running_loop()
        future = self._thread.submit(self._read, refs)
        arrived = partial(self._arrived, session, wanted)
        future.add_done_callback(
            lambda done: None if loop.is_closed() else loop.call_soon_threadsafe(arrived, done)
        )

    def _read(self, refs: Sequence[tuple[int, int] | None]) -> Fetched:
        found: Fetched = []
        batch: RawBatch | None = None
        for ref in refs:
            if ref is None:
                found.append(None)
                continue
            batch = self._covering(batch, ref, len(refs))
            found.append(batch)
        return found

    def _covering(
        self, batch: RawBatch | None, ref: tuple[int, int], count: int
    ) -> RawBatch | None:
        partition, offset = ref
        if batch is not None and batch.partition == partition:
            last = batch.first_offset + len(batch)
            if batch.first_offset <= offset < last:
                return batch
        try:
            with self._hub.reading:
                return self._reader.read(partition, offset, count)
        except (GoneError, StopError):
            # Retired, or damaged on the disk: gone for this queue, the rest of it is not
            return None

    def _arrived(self, session: Session, wanted: list[Delivery], done: "Future[Fetched]") -> None:
        if self._hub.is_closed or done.cancelled():
            return
        error = done.exception()
        if isinstance(error, MillraceError):
            session.fetching = False
            if session.peer is not None:
                session.peer.disconnect(UNSPECIFIED_ERROR)
            return
        messages = [
            _message(delivery, batch) for delivery, batch in zip(wanted, done.result(), strict=True)
        ]
        self._hub.outbound.fetched(session, wanted, messages)
        self._hub.flush()


def _message(delivery: Delivery, batch: RawBatch | None) -> Message | None:
    if batch is None or delivery.ref is None:
        return None
    at = delivery.ref[1] - batch.first_offset
    flags = batch.flags[at]
    return Message(
        batch.topics[at], batch.payloads[at], flags & QOS_MASK, bool(flags & RETAIN),
        delivery.properties, delivery.expires_ns, batch.client_ids[at],
    )  # fmt: skip
