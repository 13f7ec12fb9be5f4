"""A pump over the partitions that are ours, and another one when they change.

State of the middle belongs to partitions, so when partitions move, the pump is opened anew: it
claims what is ours now, which fences whoever had it, and rebuilds the state from the ledger and the
log as at any start. A batch that was read and not committed is dropped with the old pump; whoever
has the partition reads it again.
Source: architecture.md 5, F20, F23, P5.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from threading import Event

import structlog

from millrace.errors import FencedError, GoneError, RetryError, StopError
from millrace.flow.backoff import Backoff
from millrace.flow.pump import Pump
from millrace.ports.membership import Membership

OpenPump = Callable[[Sequence[int]], AbstractContextManager[Pump]]

_WAIT_S = 0.5
_PATIENCE_TURNS = 40

_log = structlog.get_logger("millrace.sharing")


def pump_our_share(
    membership: Membership, open_pump: OpenPump, stop: Event, *, ready: Callable[[], object]
) -> None:
    """Pump until `stop` is set; `ready` is called whenever the share is being worked on.

    Raises:
        StopError: The pump must not go on; a FencedError when a partition that is ours by the
            membership is claimed by somebody who is no member.
        RetryError: Something is away at the first start.
    """
    backoff, is_first = Backoff(), True
    while not stop.is_set():
        mine = membership.partitions(_WAIT_S)
        if not mine:
            ready()
            continue
        try:
            with open_pump(sorted(mine)) as pump:
                backoff.succeeded()
                ready()
                is_first = False
                pump.run(stop, partial(_is_still, membership, mine))
        except FencedError:
            if not _has_moved(membership, mine, stop):
                raise
            _log.warning("was_replaced", partitions=sorted(mine))
        except GoneError as error:
            raise StopError(
                f"messages were removed from the log before they were processed: {error}",
                "raise the retention of the log; moving the position gives those messages up",
            ) from error
        except RetryError as error:
            if is_first:
                raise
            stop.wait(backoff.failed(error))


def _is_still(membership: Membership, mine: frozenset[int]) -> bool:
    return membership.partitions() == mine


def _has_moved(membership: Membership, mine: frozenset[int], stop: Event) -> bool:
    """Wait until the membership says what a fence has said already."""
    return any(
        stop.is_set() or membership.partitions(_WAIT_S) != mine for _ in range(_PATIENCE_TURNS)
    )
