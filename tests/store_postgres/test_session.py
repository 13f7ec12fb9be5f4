"""What a connection to PostgreSQL is like."""

import os
import socket
from contextlib import closing

import pytest

from millrace.store_postgres.session import UNANSWERED_MS, Session

pytestmark = pytest.mark.services


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the platform has no bound")
def test_f22_a_host_that_vanished_is_noticed(postgres_url: str) -> None:
    with (
        closing(Session(postgres_url, name="test")) as session,
        session.transaction() as db,
        socket.socket(fileno=os.dup(db.fileno())) as line,
    ):
        bound_ms = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert bound_ms == UNANSWERED_MS <= 15_000
