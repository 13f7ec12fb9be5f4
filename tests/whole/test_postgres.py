"""Registry and ledger in PostgreSQL behind PgBouncer: of the six URLs one differs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres
from tests.whole.devices import publish
from tests.whole.stack import running

pytestmark = [pytest.mark.services, pytest.mark.slow]

START_S = 1_772_366_400
BODY = b'{"seq":%d,"ts":%d,"measurements":[{"type":"voltage_dc","val":%d,"unit":"V"}]}'


def _millrace(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "millrace", *words]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_messages_come_back_from_a_postgresql_store(
    postgres: Postgres,
    postgres_url: str,
    pgbouncer: PgBouncer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = postgres_url.rpartition("/")[2]
    monkeypatch.setenv("MILLRACE_STORE__URL", pgbouncer.url(name))
    before = _millrace(tmp_path, "check")
    assert before.returncode == 3
    assert "millrace migrate" in before.stdout
    assert _millrace(tmp_path, "migrate").returncode == 0
    assert _millrace(tmp_path, "migrate").stdout == "nothing to do\n"

    sent = [(f"iot/m{n % 7}/telemetry", BODY % (n // 7, START_S + n, n)) for n in range(700)]
    with running(tmp_path / "data") as stack:
        publish(stack.mqtt, *sent, ("iot/m2/telemetry", b"broken"))
        books = stack.wait_until_drained()
        assert books["difference"] == 0
        assert stack.get("/api/devices/m3")["family"] == "meter"
        assert stack.exported("voltage_dc")["m3"] == [float(n) for n in range(3, 700, 7)]
    rows = postgres.ask("SELECT count(*) FROM devices WHERE device_id ~ '^m[0-6]$'", name)
    assert rows == [(7,)]
    letters = postgres.ask("SELECT device_id, status FROM dead_letters", name)
    assert letters == [("m2", "open")]
