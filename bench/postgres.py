"""A private PostgreSQL for comparison, where one is installed; started without rights of root."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.csv as pacsv

from bench.checks import CheckError
from bench.stack import free_port, wait_until

ROOT_UID = 0
TABLE = """
CREATE TABLE readings (series_id bigint NOT NULL, time timestamptz NOT NULL,
 value double precision NOT NULL, flags smallint NOT NULL, attr_id bigint NOT NULL,
 PRIMARY KEY (series_id, time))
"""


def programs() -> Path | None:
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
    """One server that listens on a socket in its own folder. Use as a context manager."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._port = free_port()
        self._owner: Mapping[str, Any] = {}
        if os.getuid() == ROOT_UID:
            # It refuses to run as root; the package brings an account of its own.
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._owner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        cluster = self._folder / "cluster"
        self._run("initdb", "-D", cluster, "-A", "trust", "-U", "bench", "--no-sync")
        self._process = subprocess.Popen(
            [
                self._programs / "postgres", "-D", cluster, "-p", str(self._port), "-c",
                "listen_addresses=", "-c", f"unix_socket_directories={self._folder}", "-c",
                "max_wal_size=8GB",
            ],
            cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._owner,
        )  # fmt: skip
        wait_until(self._answers, timeout_s=30, what="PostgreSQL to start")
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def ask(self, sql: str, *, given: bytes | None = None) -> str:
        """Return the answer of psql. Raises: CheckError."""
        return self._run(
            "psql", "-h", self._folder, "-p", str(self._port), "-U", "bench", "-d", "postgres",
            "-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql, given=given,
        ).strip()  # fmt: skip

    def size_of(self, rows: pa.Table) -> int:
        """Return the bytes of heap and key that readings take, copied in as they arrived."""
        self.ask(f"DROP TABLE IF EXISTS readings; {TABLE}")
        instants = rows["time_ns"].cast(pa.timestamp("ns")).cast(pa.timestamp("us", "UTC"))
        text = pa.BufferOutputStream()
        options = pacsv.WriteOptions(include_header=False)
        pacsv.write_csv(rows.set_column(1, "time", instants), text, options)
        self.ask("COPY readings FROM STDIN (FORMAT csv)", given=text.getvalue().to_pybytes())
        self.ask("VACUUM (FREEZE) readings")
        got = int(self.ask("SELECT count(*) FROM readings"))
        if got != len(rows):
            raise CheckError(f"PostgreSQL holds {got:,} readings of {len(rows):,}")
        return int(self.ask("SELECT pg_total_relation_size('readings')"))

    def _run(self, program: str, *words: object, given: bytes | None = None) -> str:
        done = subprocess.run(
            [self._programs / program, *map(str, words)], cwd=self._folder, input=given,
            capture_output=True, check=False, **self._owner,
        )  # fmt: skip
        out, said = bytes(done.stdout), bytes(done.stderr)
        if done.returncode:
            raise CheckError(f"{program}: {said.decode()[-300:]}")
        return out.decode()

    def _answers(self) -> bool:
        try:
            return self.ask("SELECT 1") == "1"
        except CheckError:
            return False
