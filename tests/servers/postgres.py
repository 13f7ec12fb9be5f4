"""A private PostgreSQL on a free port of the loopback, for fixtures and benches to run.

It listens on TCP only, trusts whoever comes unless it is given a password, and keeps everything in
one folder. As root it runs as the account that the Debian package brings.
"""

import itertools
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg
import pytest

from tests.servers.accounts import hand_over, reachable_folder, unprivileged
from tests.servers.installed import absent
from tests.servers.ports import free_port, wait_for_port

USER: Final = "millrace"
RECOVERY_S: Final = 30.0
# Tests kill processes, not the machine: what the kernel has is as good as what the disk has.
FAST: Final = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}


def postgres_programs() -> Path | None:
    """Return the folder with the newest PostgreSQL programs, None without any."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if found:
        return found[-1].parent
    place = shutil.which("initdb")
    return Path(place).resolve().parent if place else None


def _version(path: Path) -> int:
    name = path.parent.parent.name
    return int(name) if name.isdigit() else 0


class Postgres:
    """One server that can be stopped, killed and started again on the same port and folder."""

    def __init__(
        self,
        programs: Path,
        folder: Path,
        *,
        settings: Mapping[str, str] = FAST,
        password: str | None = None,
    ) -> None:
        self.port = free_port()
        self._programs = programs
        self._folder = folder
        self._settings = dict(settings)
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._make_cluster()

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """Return the URL of a database; `port` is that of whatever stands in front."""
        secret = "" if self._password is None else f":{quote(self._password, safe='')}"
        return f"postgresql://{USER}{secret}@127.0.0.1:{port or self.port}/{database}"

    def make_database(self, *, template: str = "template1") -> str:
        """Make a database and return its name."""
        name = f"test_{next(self._numbers)}"
        self.ask(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database and end whoever is connected to it."""
        self.ask(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def ask(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run SQL on a connection of its own and return the rows of its last statement."""
        with psycopg.connect(self.url(database), autocommit=True) as db:
            cursor = db.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self, **settings: str) -> None:
        """Start, with further settings for this time, and return when it answers."""
        words = [f"{name}={value}" for name, value in {**self._settings, **settings}.items()]
        command: list[str | Path] = [
            self._programs / "postgres", "-D", self._folder / "cluster", "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
        ]  # fmt: skip
        for word in words:
            command += ["-c", word]
        log = self._folder / "log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, cwd=self._folder, stdout=out, stderr=out, **unprivileged()
            )
        wait_for_port(self.port, what="PostgreSQL")
        self._wait_until_recovered()

    def stop(self) -> None:
        """End it in order; whoever is connected is cut off."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End all its processes at once, as a crash does; the next start recovers."""
        self._end(signal.SIGQUIT)

    def _make_cluster(self) -> None:
        words = ["-A", "trust"]
        if self._password is not None:
            secret = self._folder / "password"
            secret.write_text(self._password)
            hand_over(secret)
            words = ["-A", "scram-sha-256", "--pwfile", str(secret)]
        done = subprocess.run(
            [
                self._programs / "initdb", "-D", self._folder / "cluster", "-U", USER,
                "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C.UTF-8", *words,
            ],
            cwd=self._folder, capture_output=True, check=False, **unprivileged(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"initdb: {bytes(done.stderr).decode()[-300:]}")

    def _wait_until_recovered(self) -> None:
        deadline = time.monotonic() + RECOVERY_S
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None


@contextmanager
def running_postgres(
    *, settings: Mapping[str, str] = FAST, password: str | None = None
) -> Iterator[Postgres]:
    """Run a private server; skip the test where none is installed (in CI: fail it)."""
    programs = postgres_programs()
    if programs is None:
        absent("postgresql")
    with reachable_folder("postgres") as folder:
        server = Postgres(programs, folder, settings=settings, password=password)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Give the one server that tests share; who stops a server runs one of its own."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """Give the URL of an empty database of the shared server."""
    name = postgres.make_database()
    yield postgres.url(name)
    postgres.drop_database(name)
