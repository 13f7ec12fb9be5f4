"""The PostgreSQL ledger keeps the contract, and what only rows and a network can promise."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from threading import Barrier, Thread
from typing import Any

import numpy as np
import psycopg
import pytest

from millrace.adapters.hot_postgres import PostgresHotReadings
from millrace.adapters.ledger_postgres import PostgresLedger
from millrace.errors import FencedError, RejectError, RetryError, UnsureError
from millrace.model.event import DeadLetter
from millrace.model.series import SeriesKey
from millrace.model.work import Advance, Discovered, Effects, LetterRow, NewSeries, Readings, Tally
from millrace.ports.ledger import HotReadings, Ledger
from millrace.store_postgres.session import Session
from tests.contracts.hot_memory import DAY_NS, START_NS, readings
from tests.contracts.ledger import LedgerContract, effects
from tests.servers.cutting_proxy import CuttingProxy, running_proxy
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.services


@pytest.fixture
def url(migrated_url: str) -> str:
    return migrated_url


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class TestPostgresLedger(LedgerContract):
    has_pages = False

    @pytest.fixture
    def open_ledger(self, url: str, opened: ExitStack) -> Callable[[], Ledger]:
        return lambda: opened.enter_context(closing(PostgresLedger(url)))

    @pytest.fixture(autouse=True)
    def _remember(self, url: str, opened: ExitStack) -> None:
        self._url, self._opened = url, opened

    def hot(self, ledger: Ledger) -> HotReadings:
        return self._opened.enter_context(closing(PostgresHotReadings(self._url)))


class TestPostgresLedgerForOtherHistories(TestPostgresLedger):
    """The same ledger where sealed history is kept elsewhere: no rows, but pages of latest."""

    has_pages = True

    @pytest.fixture
    def open_ledger(self, url: str, opened: ExitStack) -> Callable[[], Ledger]:
        return lambda: opened.enter_context(closing(PostgresLedger(url, has_rows=False)))


@pytest.fixture
def ledger(url: str, opened: ExitStack) -> PostgresLedger:
    ledger = opened.enter_context(closing(PostgresLedger(url)))
    ledger.claim("process", "raw", [0, 1])
    return ledger


def work(number: int, rows: Readings, *, partition: int = 0) -> Effects:
    return effects(Advance(partition, number, number + 1), rows=rows)


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as db:
        return db.execute(query.encode()).fetchall()


STORED = "SELECT series_id, value, flags, attr_id FROM readings ORDER BY series_id, time"


def test_d12_a_later_commit_wins_however_it_is_written(ledger: PostgresLedger, url: str) -> None:
    first = [(n, START_NS, 1.0, 0, 1) for n in range(1, 6)]
    ledger.commit(work(0, readings(first)))
    ledger.commit(work(1, readings([(2, START_NS + 999, -0.0, 4, 2), (6, START_NS, 6.0, 0, 1)])))
    ledger.commit(work(2, readings([(2, START_NS, 2.0, 0, 3), (2, START_NS, 3.0, 8, 4)])))
    ledger.commit(work(3, readings([(3, START_NS, 0.0, 0, 1), (3, START_NS, 1.0, 0, 1)])))
    assert ask(url, STORED) == [
        (1, 1.0, 0, 1),
        (2, 3.0, 8, 4),
        (3, 1.0, 0, 1),
        (4, 1.0, 0, 1),
        (5, 1.0, 0, 1),
        (6, 6.0, 0, 1),
    ]


def test_d12_random_late_and_repeated_rows_end_as_the_last_says(
    ledger: PostgresLedger, url: str
) -> None:
    random = np.random.default_rng(12)
    expected: dict[tuple[int, int], float] = {}
    for number in range(40):
        rows = [
            (int(s), START_NS + int(t) * 1_000_000, float(v), 0, 1)
            for s, t, v in zip(
                random.integers(1, 5, 50), random.integers(0, 400, 50), random.integers(0, 9, 50),
                strict=True,
            )
        ]  # fmt: skip
        ledger.commit(work(number, readings(rows)))
        expected |= {(s, t): v for s, t, v, _, _ in rows}
    found = ask(
        url, "SELECT series_id, (extract(epoch FROM time) * 1e9)::bigint, value FROM readings"
    )
    assert {(s, t): v for s, t, v in found} == expected
    assert len(found) == len(expected)


def test_room_is_made_for_every_day_that_comes(ledger: PostgresLedger, url: str) -> None:
    times = [-DAY_NS, 0, 1_262_304_000 * 10**9, START_NS, START_NS + DAY_NS, START_NS - DAY_NS]
    for number, time_ns in enumerate(times):
        ledger.commit(work(number, readings([(1, time_ns, float(number), 0, 1)])))
    assert len(ask(url, STORED)) == len(times)
    names = {row[0] for row in ask(url, "SELECT tableoid::regclass::text FROM readings")}
    assert names >= {"readings_20260301_20260302", "readings_20100101_20110101"}


def test_a_day_that_retention_has_removed_is_made_again(ledger: PostgresLedger, url: str) -> None:
    ledger.commit(work(0, readings([(1, START_NS, 1.0, 0, 1)])))
    with psycopg.connect(url) as db:
        db.execute("DROP TABLE readings_20260301_20260302")
    late = work(1, readings([(1, START_NS, 2.0, 0, 1)]))
    with pytest.raises(RetryError):
        ledger.commit(late)
    ledger.commit(late)
    assert ask(url, "SELECT value FROM readings") == [(2.0,)]


def test_ids_of_commits_have_no_holes_and_ids_of_series_no_order_but_their_own(
    ledger: PostgresLedger, url: str, opened: ExitStack
) -> None:
    other = opened.enter_context(closing(PostgresLedger(url)))
    other.claim("process", "raw", [1])
    ids = []
    for number in range(4):
        for holder, partition in ((ledger, 0), (other, 1)):
            one = work(number, readings([(-1, START_NS, 1.0, 0, -1)]), partition=partition)
            one.new_series = [NewSeries(SeriesKey(f"d{number}-{partition}", "m", ""), None)]
            one.new_attributes = ["{}"]
            committed = holder.commit(one)
            ids.append(committed.commit_id)
            refused = work(0, readings([(-1, START_NS, 1.0, 0, 1)]), partition=partition)
            refused.new_series = [NewSeries(SeriesKey("never", "m", ""), None)]
            if number:
                with pytest.raises(FencedError):
                    holder.commit(refused)
    assert ids == list(range(1, 9))
    assert ledger.series(["never"]) == []


def test_text_that_postgresql_does_not_take_is_cleaned(ledger: PostgresLedger, url: str) -> None:
    one = work(0, readings([(-1, START_NS, 1.0, 0, -1)]))
    one.new_series = [NewSeries(SeriesKey("d", "m\x00", ""), "V")]
    one.new_attributes = ['{"topic": "' + "x" * 5000 + '", "unit": "V"}']
    one.letters = [
        LetterRow(DeadLetter("bad", "a\x00b", 3, "no\x00", 0), "generic", "d", 0, 0, START_NS,
                  "t", b"\x00\xff")
    ]  # fmt: skip
    one.discovered = [Discovered("f2-0123456789ab", "f2", START_NS, 0, location="here\x00")]
    done = ledger.commit(one)
    assert ask(url, "SELECT element, detail, payload FROM dead_letters") == [
        ("a\ufffdb", "no\ufffd", b"\x00\xff")
    ]
    assert ask(url, "SELECT body FROM attributes") == [('{"unit":"V"}',)]
    assert ask(url, "SELECT role, mac_address FROM devices WHERE device_id LIKE 'f2-%'") == [
        ("controller", "0123456789ab")
    ]
    again = effects(Advance(0, 1, 2), version=2, rows=readings([(-1, START_NS, 2.0, 0, -1)]))
    again.new_series, again.new_attributes = one.new_series, one.new_attributes
    assert ledger.commit(again).series_ids == done.series_ids


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[CuttingProxy]:
    with running_proxy(postgres.port) as proxy:
        yield proxy


@pytest.fixture
def cut_ledger(
    url: str, postgres: Postgres, proxy: CuttingProxy, opened: ExitStack
) -> PostgresLedger:
    through = url.replace(f":{postgres.port}/", f":{proxy.port}/")
    ledger = opened.enter_context(closing(PostgresLedger(through)))
    ledger.claim("process", "raw", [0])
    # Makes the partition, so that the commit under test is the only one.
    ledger.commit(work(0, readings([(1, START_NS, 0.0, 0, 1)])))
    return ledger


@pytest.mark.parametrize("cut", ["before", "after"])
def test_f24_a_commit_without_an_answer_is_stored_once(
    cut_ledger: PostgresLedger, proxy: CuttingProxy, url: str, cut: str
) -> None:
    one = work(1, readings([(-1, START_NS, 5.0, 0, -1)]))
    one.new_series = [NewSeries(SeriesKey("d", "m", ""), "V")]
    one.new_attributes = ["{}"]
    one.counts = Counter({Tally("stored", "meter"): 1})
    proxy.cut = cut
    with pytest.raises(UnsureError):
        cut_ledger.commit(one)
    assert proxy.cuts == 1
    done = cut_ledger.commit(one)
    assert done.commit_id == 2
    assert cut_ledger.series(["d"]) == [(SeriesKey("d", "m", ""), done.series_ids[0])]
    assert ask(url, "SELECT last_id FROM commits") == [(2,)]
    assert ask(url, "SELECT next_offset FROM positions") == [(2,)]
    assert ask(url, "SELECT count FROM counters") == [(1,)]
    assert cut_ledger.commit(work(2, readings([(1, START_NS + 1000, 6.0, 0, 1)]))).commit_id == 3


@pytest.mark.parametrize("cut", ["before", "after"])
def test_f24_an_outage_after_a_lost_answer_leaves_the_question_open(
    cut_ledger: PostgresLedger, proxy: CuttingProxy, url: str, cut: str
) -> None:
    one = work(1, readings([(1, START_NS + 1000, 5.0, 0, 1)]))
    one.counts = Counter({Tally("stored", "meter"): 1})
    proxy.cut = cut
    with pytest.raises(UnsureError):
        cut_ledger.commit(one)
    proxy.refuses = True
    with pytest.raises(RetryError):
        cut_ledger.commit(one)
    proxy.refuses = False
    assert cut_ledger.commit(one).commit_id == 2
    assert ask(url, "SELECT next_offset FROM positions") == [(2,)]
    assert ask(url, "SELECT count FROM counters") == [(1,)]


def test_f24_who_was_taken_over_meanwhile_does_not_go_on(
    cut_ledger: PostgresLedger, proxy: CuttingProxy, url: str, opened: ExitStack
) -> None:
    one = work(1, readings([(1, START_NS + 1000, 5.0, 0, 1)]))
    proxy.cut = "after"
    with pytest.raises(UnsureError):
        cut_ledger.commit(one)
    taker = opened.enter_context(closing(PostgresLedger(url)))
    assert taker.claim("process", "raw", [0]).positions == {0: 2}
    with pytest.raises(FencedError):
        cut_ledger.commit(one)


def test_f25_of_two_transactions_in_each_others_way_one_is_to_be_retried(url: str) -> None:
    meet = Barrier(2)
    outcomes: list[str] = []

    def cross(first: int, second: int) -> None:
        with closing(Session(url, name="test")) as session:
            try:
                with session.transaction() as db:
                    db.execute("SELECT pg_advisory_xact_lock(%s)", (first,))
                    meet.wait(10)
                    db.execute("SELECT pg_advisory_xact_lock(%s)", (second,))
            except RetryError:
                outcomes.append("retry")
            else:
                outcomes.append("done")

    threads = [Thread(target=cross, args=pair) for pair in ((1, 2), (2, 1))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(outcomes) == ["done", "retry"]


def test_p7_what_the_database_refuses_for_its_contents_is_named_so(
    url: str, ledger: PostgresLedger
) -> None:
    """A number beyond its column, half of a surrogate pair, a text too long for its column."""
    letter = LetterRow(DeadLetter("x" * 65), "f2", "d", 0, 0, START_NS, "t", b"")
    for name, value in (
        ("not_stored", [(0, 2**63)]),
        ("new_series", [NewSeries(SeriesKey("d", "\ud800", ""), None)]),
        ("letters", [letter]),
    ):
        refused = work(0, readings([]))
        setattr(refused, name, value)
        with pytest.raises(RejectError, match="store_rejected"):
            ledger.commit(refused)
    assert ask(url, "SELECT next_offset FROM positions WHERE partition_no = 0") == [(0,)]
    ledger.commit(work(0, readings([])))
