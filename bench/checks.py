"""Checks that stand before every speed: a wrong result has none."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from millrace.flow.balance import Balance
from millrace.ports.series import Every, SeriesQuery, Span
from millrace.settings import Settings
from millrace.store.sqlite import open_store, reading
from millrace.wiring.histories import open_query
from millrace.wiring.places import store_path

ALWAYS = Span(0, 1 << 62)


class CheckError(AssertionError):
    """What was measured is not what was asked for."""


def require(is_true: bool, why: str) -> None:  # noqa: FBT001 - reads like assert
    """Raise a CheckError unless something is true."""
    if not is_true:
        raise CheckError(why)


def check_books(found: Balance, sent: Mapping[str, int]) -> None:
    """Require that every message that was acknowledged is stored, once, and nothing else is.

    Raises:
        CheckError: It is not so.
    """
    for family, number in sent.items():
        pairs = (
            ("received", found.received[family], number),
            ("stored", found.stored[family], number),
            ("duplicates", found.duplicate[family], 0),
            ("dead letters", found.dead_letter[family], 0),
        )
        for what, got, wanted in pairs:
            require(got == wanted, f"{family}: {got:,} {what}, not {wanted:,}")
    require(found.received.total() == sum(sent.values()), "messages of another family came in")
    require(not found.lag, f"{found.lag:,} messages are not committed")
    require(not found.difference, f"the books do not balance by {found.difference:,}")
    require(not found.open_letters, f"{found.open_letters:,} dead letters")


class Expected(NamedTuple):
    """What each series of one metric must hold: how many readings, and their sum over all."""

    series: int
    readings_each: int
    total: float


def check_readings(
    settings: Settings, expected: Mapping[str, Expected], *, every_ns: int | None
) -> int:
    """Require count, sum and evenly spaced instants of the readings; return their number.

    `every_ns` is the distance of two instants, None where they are not evenly spaced.

    Raises:
        CheckError: A reading is missing, repeated or wrong.
    """
    metrics = series_by_metric(settings)
    readings = 0
    with open_query(settings) as query:
        query.refresh()
        for metric, wanted in expected.items():
            ids = metrics.get(metric, [])
            found = (
                f"{len(ids)} series of {wanted.series} (there are: {', '.join(sorted(metrics))})"
            )
            require(len(ids) == wanted.series, f"{metric}: {found}")
            _check_metric(query, metric, ids, wanted, every_ns)
            readings += len(ids) * wanted.readings_each
    return readings


def _check_metric(
    query: SeriesQuery, metric: str, ids: Sequence[int], wanted: Expected, every_ns: int | None
) -> None:
    extents = query.summary(ids)
    require(len(extents) == len(ids), f"{metric}: {len(ids) - len(extents)} series are empty")
    counts, first, last = (
        extents[name].to_numpy() for name in ("count", "first_ns", "last_ns")
    )  # fmt: skip
    require(
        bool((counts == wanted.readings_each).all()),
        f"{metric}: {counts.min():,} to {counts.max():,} readings, not {wanted.readings_each:,}",
    )
    if every_ns is not None:
        # The right number of distinct instants over the right span: so there is no gap.
        spans = (wanted.readings_each - 1) * every_ns
        require(bool((last - first == spans).all()), f"{metric}: instants are missing")
    total = _total(query, ids)
    require(
        abs(total - wanted.total) <= 1e-9 * abs(wanted.total),
        f"{metric}: the sum is {total}, not {wanted.total}",
    )


def _total(query: SeriesQuery, ids: Sequence[int]) -> float:
    sums = query.aggregate(ids, ALWAYS, Every(52, "w"), ["sum"], limit=10_000_000)
    return float(np.sum(sums["sum"].to_numpy()))


def series_by_metric(settings: Settings) -> dict[str, list[int]]:
    """Return the ids of all series, by metric."""
    found: dict[str, list[int]] = {}
    for number, metric in rows(settings, "SELECT series_id, metric FROM series ORDER BY 1"):
        found.setdefault(metric, []).append(number)
    return found


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    """Return the answer of the ledger's database to a query."""
    db = open_store(store_path(settings), read_only=True)
    try:
        with reading(db):
            return list(db.execute(query))
    finally:
        db.close()
