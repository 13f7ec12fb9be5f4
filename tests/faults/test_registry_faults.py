"""Registry writes on PostgreSQL that the network and other writers fail (F22-F25, REG-100)."""

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from millrace.errors import RetryError
from millrace.store.bulk import bulk_devices
from millrace.store.registry_write import registry_write
from millrace.store_postgres.tables import PostgresTables
from tests.servers.cutting_proxy import CuttingProxy, running_proxy
from tests.servers.postgres import Postgres
from tests.servers.proxy import Proxy, running_tcp_proxy
from tests.servers.tables import Stored

pytestmark = pytest.mark.services

AT_NS = 1_751_457_600_000_000_000


@pytest.fixture
def cutting(postgres: Postgres) -> Iterator[CuttingProxy]:
    with running_proxy(postgres.port) as proxy:
        yield proxy


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[Proxy]:
    with running_tcp_proxy(postgres.port) as proxy:
        yield proxy


def _through(postgres: Postgres, url: str, port: int) -> PostgresTables:
    return PostgresTables(postgres.url(url.rpartition("/")[2], port=port), name="test")


def _registry(url: str) -> tuple[Any, ...]:
    with psycopg.connect(url) as db:
        row = db.execute(
            "SELECT version, (SELECT count(*) FROM devices), (SELECT count(*) FROM audit_log)"
            " FROM registry_version"
        ).fetchone()
    assert row is not None
    return row


def test_f24_a_commit_without_an_answer_is_done_when_it_has_happened(
    postgres: Postgres, migrated_url: str, cutting: CuttingProxy
) -> None:
    with closing(_through(postgres, migrated_url, cutting.port)) as tables:
        cutting.cut = "after"
        assert bulk_devices(tables, [{"device_id": "m-1"}], at_ns=AT_NS) == 1
        assert cutting.cuts == 1
        assert _registry(migrated_url) == (2, 1, 1)


def test_f24_a_commit_that_never_arrived_is_to_be_tried_again(
    postgres: Postgres, migrated_url: str, cutting: CuttingProxy
) -> None:
    with closing(_through(postgres, migrated_url, cutting.port)) as tables:
        cutting.cut = "before"
        with pytest.raises(RetryError, match="nothing was committed"):
            bulk_devices(tables, [{"device_id": "m-1"}], at_ns=AT_NS)
        assert _registry(migrated_url) == (1, 0, 0)
        assert bulk_devices(tables, [{"device_id": "m-1"}], at_ns=AT_NS) == 1
        assert _registry(migrated_url) == (2, 1, 1)


@pytest.mark.parametrize("size", [0, 40, 120, 300, 500, 700])
def test_f24_cut_anywhere_a_write_is_whole_or_absent(
    postgres: Postgres, migrated_url: str, proxy: Proxy, size: int
) -> None:
    with closing(_through(postgres, migrated_url, proxy.port)) as tables:
        with tables.reading() as asked:
            asked.rows("SELECT 1")
        proxy.cut_after(size)
        try:
            bulk_devices(tables, [{"device_id": "m-1"}], at_ns=AT_NS)
        except RetryError:
            assert _registry(migrated_url) == (1, 0, 0)
            assert bulk_devices(tables, [{"device_id": "m-1"}], at_ns=AT_NS) == 1
        assert proxy.cuts == 1
        assert _registry(migrated_url) == (2, 1, 1)


def test_f22_a_database_that_is_away_is_waited_for(
    postgres: Postgres, migrated_url: str, proxy: Proxy
) -> None:
    with closing(_through(postgres, migrated_url, proxy.port)) as tables:
        proxy.refuses = True
        for _ in range(3):
            with pytest.raises(RetryError), tables.reading():
                pytest.fail("nobody is there")
        proxy.refuses = False
        proxy.latency_s = 0.05
        with tables.reading() as asked:
            assert asked.rows("SELECT version FROM registry_version") == [(1,)]
        # A connection that broke while nobody asked is replaced without a word.
        proxy.cut_all()
        with tables.reading() as asked:
            assert asked.rows("SELECT version FROM registry_version") == [(1,)]


def test_f25_a_deadlock_is_retried_whole(migrated_url: str) -> None:
    with (
        closing(PostgresTables(migrated_url)) as one,
        closing(PostgresTables(migrated_url)) as other,
    ):
        bulk_devices(one, [{"device_id": "a"}, {"device_id": "b"}], at_ns=AT_NS)
        met = threading.Barrier(2)
        failed: list[RetryError] = []

        def move(tables: PostgresTables, first: str, second: str) -> None:
            touch = "UPDATE devices SET location = :to WHERE device_id = :id"
            met_once = False
            while True:
                try:
                    with tables.writing() as changes:
                        changes.change(touch, to=first, id=first)
                        if not met_once:
                            met_once = True
                            met.wait(10)
                        changes.change(touch, to=first, id=second)
                except RetryError as error:
                    failed.append(error)
                else:
                    return

        threads = [
            threading.Thread(target=move, args=args)
            for args in ((one, "a", "b"), (other, "b", "a"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(failed) == 1
        assert "deadlock" in str(failed[0])
        with one.reading() as asked:
            found = asked.rows("SELECT DISTINCT location FROM devices")
        assert len(found) == 1, "each write is whole"


def test_reg100_versions_are_dense_with_many_writers(stored: Stored) -> None:
    if stored.system == "sqlite":
        pytest.skip("one file has one writer; tests/store/test_registry_write.py")
    writers, each = 4, 15

    def write(number: int) -> None:
        tables = PostgresTables(stored.place)
        with closing(tables):
            for n in range(each):
                with registry_write(tables, at_ns=AT_NS) as write:
                    write.audit("update", "device", f"d-{number}-{n}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    versions = stored.rows("SELECT registry_version FROM audit_log ORDER BY id")
    assert sorted(versions) == [(2 + n,) for n in range(writers * each)]
    assert stored.rows("SELECT version FROM registry_version") == [(1 + writers * each,)]


def test_reg083_numbers_go_on_behind_explicit_ones(stored: Stored) -> None:
    stored.insert("devices", {"id": 41, "device_id": "m-41", "device_name": "M"})
    stored.insert("devices", {"device_id": "m-42", "device_name": "M"})
    assert stored.rows("SELECT id FROM devices ORDER BY id") == [(41,), (42,)]
