"""What a connection to PostgreSQL is like."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from millrace.errors import RetryError, StopError
from millrace.store_postgres.migrations import migrate, require_ready
from millrace.store_postgres.session import UNANSWERED_MS, Session
from tests.servers.postgres import Postgres, running_postgres

pytestmark = pytest.mark.services

WORDS = "open sesame"


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the platform has no bound")
def test_f22_a_host_that_vanished_is_noticed(postgres_url: str) -> None:
    with (
        closing(Session(postgres_url, name="test")) as session,
        session.transaction() as db,
        socket.socket(fileno=os.dup(db.fileno())) as line,
    ):
        bound_ms = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert bound_ms == UNANSWERED_MS <= 15_000


@pytest.fixture(scope="module")
def guarded() -> Iterator[Postgres]:
    with running_postgres(password=WORDS) as server:
        server.ask("CREATE ROLE watcher NOLOGIN PASSWORD 'x'")
        yield server


@pytest.mark.parametrize(
    ("user", "database", "remedy"),
    [
        ("millrace:wrong", "postgres", "store.password_file"),
        ("millrace", "postgres", "store.password_file"),
        ("nobody:x", "postgres", "store.password_file"),
        ("watcher:x", "postgres", "create the role with LOGIN"),
        ("millrace:open%20sesame", "nowhere", "create the database"),
    ],
)
def test_f26_a_start_that_is_refused_says_what_to_do(
    guarded: Postgres, user: str, database: str, remedy: str
) -> None:
    url = f"postgresql://{user}@127.0.0.1:{guarded.port}/{database}"
    for start in (require_ready, migrate):
        with pytest.raises(StopError, match="PostgreSQL refused") as caught:
            start(url)
        assert remedy in caught.value.remedy
    # Whoever has started waits: an operator may be at work.
    with (
        closing(Session(url, name="test")) as session,
        pytest.raises(RetryError),
        session.transaction(),
    ):
        pytest.fail("nobody is let in")


def test_f26_a_role_that_is_missing_is_said(postgres: Postgres) -> None:
    with pytest.raises(StopError, match='role "nobody" does not exist') as caught:
        require_ready(postgres.url().replace("millrace@", "nobody@"))
    assert "create the role" in caught.value.remedy
