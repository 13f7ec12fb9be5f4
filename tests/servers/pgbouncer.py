"""A private PgBouncer before a PostgreSQL, pooling by transaction: no session state survives."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.accounts import hand_over, reachable_folder, unprivileged
from tests.servers.installed import program
from tests.servers.ports import free_port, wait_for_port
from tests.servers.postgres import USER, Postgres

# Few connections to the server for many clients, so that transactions of one client meet several.
CONF = """\
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 5
max_client_conn = 500
server_round_robin = 1
logfile = {folder}/log
"""


class PgBouncer:
    """One pooler in front of a server. `url` is what a client is given."""

    def __init__(self, folder: Path, server: Postgres) -> None:
        self.port = free_port()
        self._server = server
        self._conf = folder / "pgbouncer.ini"
        users = folder / "users"
        self._conf.write_text(CONF.format(server_port=server.port, port=self.port, folder=folder))
        users.write_text(f'"{USER}" ""\n')
        for file in (self._conf, users):
            hand_over(file)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """Return the URL of a database through the pooler."""
        return self._server.url(database, port=self.port)

    def start(self) -> None:
        """Start, and return when it accepts connections."""
        self._process = subprocess.Popen(
            [program("pgbouncer"), "-q", str(self._conf)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **unprivileged(),
        )
        wait_for_port(self.port, what="PgBouncer")

    def stop(self) -> None:
        """End it, and every connection through it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@contextmanager
def running_pgbouncer(server: Postgres) -> Iterator[PgBouncer]:
    """Run a private pooler; skip the test where there is none (in CI: fail it)."""
    program("pgbouncer")
    with reachable_folder("pgbouncer") as folder:
        pooler = PgBouncer(folder, server)
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.stop()


@pytest.fixture(scope="session")
def pgbouncer(postgres: Postgres) -> Iterator[PgBouncer]:
    """Give the one pooler before the server that tests share."""
    with running_pgbouncer(postgres) as pooler:
        yield pooler
