"""What a commit of the pump changes in the metrics of its process.

Counters begin where the ledger left them, so they mean "since the data folder was made" and the
conservation law holds across restarts. The delay from receipt to commit is taken of the oldest
message of each commit: the longest anybody waited.
Source: MON-030, MON-102 to MON-128, MON-143 to MON-146.
"""

from collections.abc import Mapping

import numpy as np

from millrace.flow.balance import Balance, Lag
from millrace.model.quality import NAMES
from millrace.model.work import Effects
from millrace.observe.metrics import (
    CATEGORIES,
    ELEMENT_REASONS,
    FAMILIES,
    LETTER_REASONS,
    CoreMetrics,
    allowed,
)


def family(name: str) -> str:
    """Return a family as a label value."""
    return allowed(name, FAMILIES, "generic")


class PumpMetrics:
    """Feeds the core's metrics from the effects of each commit."""

    def __init__(self, metrics: CoreMetrics) -> None:
        self._metrics = metrics
        self._is_resumed = False
        self._gaps: set[str] = set()

    def resume(self, outcomes: Mapping[tuple[str, str, str], int]) -> None:
        """Start the counters from what the ledger has counted; a second call does nothing."""
        if self._is_resumed:
            return
        self._is_resumed = True
        for (outcome, name, detail), number in outcomes.items():
            self._count(outcome, name, detail, number)

    def committed(self, effects: Effects, seconds: float) -> None:
        """Take in one commit."""
        metrics = self._metrics
        for tally, number in effects.counts.items():
            self._count(tally.outcome, tally.family, tally.detail, number)
        for row in effects.letters:
            if row.letter.element:
                reason = allowed(row.letter.reason, ELEMENT_REASONS)
                metrics.elements_dead_letter.labels(family(row.family), reason).inc()
        for advance in effects.advances:
            offset = metrics.offset.labels(effects.reader, str(advance.partition))
            offset.set(advance.next_offset)
        metrics.store_write_duration.labels("points").observe(seconds)
        self._readings(effects)
        self._sequences(effects)

    def lagging(self, reader: str, lags: Mapping[int, Lag]) -> None:
        """Take in how far a reader is behind."""
        for partition, lag in lags.items():
            names = (reader, str(partition))
            self._metrics.offset.labels(*names).set(lag.position)
            self._metrics.lag.labels(*names).set(lag.messages)
            self._metrics.lag_seconds.labels(*names).set(lag.oldest_s)

    def balanced(self, balance: Balance) -> None:
        """Take in the books."""
        for name in FAMILIES:
            self._metrics.in_flight.labels(name).set(balance.in_flight[name])
        # What is not explained belongs to no family in particular.
        self._metrics.accounting_difference.labels("generic").set(balance.difference)

    def _count(self, outcome: str, name: str, detail: str, number: int) -> None:
        metrics, label = self._metrics, family(name)
        if outcome == "stored":
            metrics.stored.labels(label, allowed(detail, CATEGORIES)).inc(number)
        elif outcome == "duplicate":
            metrics.duplicate.labels(label, detail).inc(number)
        elif outcome == "dead_letter":
            metrics.dead_letter.labels(label, allowed(detail, LETTER_REASONS)).inc(number)

    def _sequences(self, effects: Effects) -> None:
        metrics = self._metrics
        for row in effects.events:
            kind = row.event.type
            if kind == "sequence_gap_opened":
                missing = row.event.data["missing"]
                metrics.sequence_missing.labels(family(row.family)).inc(missing)
            elif kind == "sequence_gap_filled":
                metrics.sequence_filled.labels(family(row.family)).inc()
            elif kind == "sequence_reset":
                metrics.sequence_resets.labels(row.event.data["reason"]).inc()
        if effects.sequences:
            for shown in effects.sequences:
                (self._gaps.add if shown.missing else self._gaps.discard)(shown.device_id)
            # Only meters number their messages.
            metrics.sequence_gaps_open.labels("meter").set(len(self._gaps))

    def _readings(self, effects: Effects) -> None:
        rows, metrics = effects.readings, self._metrics
        if not len(rows):
            return
        for name, number in effects.readings_by_family.items():
            metrics.points_written.labels(family(name)).inc(number)
        if rows.flags.any():
            for bit, name in NAMES.items():
                flagged = int(np.count_nonzero(rows.flags & bit))
                if flagged:
                    metrics.points_flagged.labels(name).inc(flagged)
        for name in effects.readings_by_family:
            delay_s = (effects.now_ns - int(rows.received_at_ns.min())) / 1e9
            metrics.publish_to_stored.labels(family(name)).observe(max(0.0, delay_s))
