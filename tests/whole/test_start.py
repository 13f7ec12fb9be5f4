"""Starting where it cannot work: every fault at once, one remedy, no traceback, nothing damaged.

Source: F48, F49, D-57, A62.
"""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from millrace.wiring.out import _cursor_key
from tests.servers.installed import program
from tests.servers.ports import free_port
from tests.whole.devices import publish
from tests.whole.stack import Stack, free_pair


def millrace(
    folder: Path, *words: str, before: tuple[str, ...] = (), **settings: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder; return how it ended."""
    environment = {**os.environ, "MILLRACE_MONITOR__BASE_PORT": str(free_pair())}
    environment |= {f"MILLRACE_{name}": value for name, value in settings.items()}
    return subprocess.run(
        [*before, sys.executable, "-m", "millrace", *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=40, check=False,
    )  # fmt: skip


def up(
    folder: Path, *words: str, before: tuple[str, ...] = (), **settings: str
) -> "subprocess.CompletedProcess[str]":
    addresses = ["--http", f"127.0.0.1:{free_port()}", "--mqtt", f"127.0.0.1:{free_port()}"]
    return millrace(folder, "up", "--data", "data", *addresses, *words, before=before, **settings)


def refused(done: "subprocess.CompletedProcess[str]", code: int, *texts: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for text in texts:
        assert text in done.stderr, done.stderr
    assert "→" in done.stderr


def test_f48_every_wrong_value_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "millrace.toml").write_text('[meter]\nmax_gaps = 1\n[series]\nseal_after_s = "x"\n')
    done = up(
        tmp_path,
        BROKER__MAX_PACKET_BYTES="abc",
        LOG__PARTITIONS="0",
        F2__TIME_ZONE="Mars/X",
        QQ="1",
    )
    names = (
        "meter.max_gaps: is not a setting", "series.seal_after_s:", "broker.max_packet_bytes:",
        "log.partitions:", "f2.time_zone:", "MILLRACE_QQ: is not a setting",
    )  # fmt: skip
    refused(done, 2, *names)
    assert not (tmp_path / "data").exists()


def test_f48_every_setting_that_cannot_work_is_named_at_once(tmp_path: Path) -> None:
    done = up(
        tmp_path, LOG__URL="no://x", STORE__URL="no://x", SERIES__URL="nothing",
        ARCHIVE__URL="no://b", LIVE__URL="no://x", BROKER__TLS_CERTIFICATE="/nowhere.pem",
        F2__SUBSCRIPTIONS='["cmnd/f2-#"]', GENERIC='[{"topic": "iot/{device_id}"}]',
    )  # fmt: skip
    names = (
        "log.url", "store.url", "series.url", "archive.url", "live.url", "broker.tls_certificate",
        "f2.subscriptions", "generic pattern",
    )  # fmt: skip
    refused(done, 2, *names)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("text", ["[broker", "x = 1\nx = 2\n", "\x00"])
def test_f48_an_unreadable_configuration_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "millrace.toml").write_text(text)
    done = up(tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


def test_f48_a_variable_that_is_no_json_is_named(tmp_path: Path) -> None:
    refused(up(tmp_path, GENERIC="[{"), 2, "the environment", "generic")


@pytest.mark.parametrize(
    "address", ["nonsense", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x", ":"]
)
def test_f48_an_address_that_is_none(tmp_path: Path, address: str) -> None:
    refused(millrace(tmp_path, "up", "--data", "data", "--http", address), 2, "api.listen")


def test_d44_an_open_api_stays_on_loopback(tmp_path: Path) -> None:
    done = millrace(tmp_path, "up", "--data", "data", "--http", "0.0.0.0:8080")
    refused(done, 2, "is not a loopback address")


@pytest.mark.parametrize("flag", ["--http", "--mqtt"])
def test_d57_a_port_that_is_taken(tmp_path: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = up(tmp_path, flag, f"127.0.0.1:{port}")
    refused(done, 1, f"127.0.0.1:{port}", "choose another")


def test_d57_the_data_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    refused(up(tmp_path), 2, "data")


def bound_by_modes() -> tuple[str, ...]:
    """Return what to run a program under so that file modes bind it, also when root runs it."""
    if os.getuid() != 0:
        return ()
    return (program("setpriv"), "--bounding-set=-all", "--inh-caps=-all")


@pytest.mark.parametrize("mode", [0o555, 0o000, 0o600])
def test_d57_a_data_folder_that_cannot_be_written(tmp_path: Path, mode: int) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    done = up(tmp_path, before=bound_by_modes())
    data.chmod(0o755)
    assert "Traceback" not in done.stderr
    assert "data" in done.stderr
    assert done.returncode == 2, done.stderr
    assert not list(data.iterdir())


def test_d57_a_data_folder_on_a_read_only_file_system(tmp_path: Path) -> None:
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "ro", "test", str(tmp_path)]
    if not shutil.which("unshare") or subprocess.run(probe, check=False).returncode:
        pytest.skip("mounting a tmpfs of our own is not allowed here")
    (tmp_path / "data").mkdir()
    script = 'mount -t tmpfs -o ro test "$0" && exec "$@"'
    before = ("unshare", "-rm", "sh", "-c", script, str(tmp_path / "data"))
    refused(up(tmp_path, before=before), 2, "cannot be written")


@pytest.mark.parametrize("left", [None, b"", b"short"])
def test_a62_api003_the_key_of_cursors_is_whole_private_and_kept(
    tmp_path: Path, left: bytes | None
) -> None:
    path = tmp_path / "secrets" / "cursor.key"
    if left is not None:
        path.parent.mkdir()
        path.write_bytes(left)
    key = _cursor_key(path)
    assert len(key) == 32
    assert key == path.read_bytes() == _cursor_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_f49_a_data_folder_in_use(stack: Stack) -> None:
    before = stack.rows("SELECT version FROM registry_version")
    done = millrace(
        stack.data.parent, "up", "--data", str(stack.data), "--http", f"127.0.0.1:{free_port()}",
        "--mqtt", f"127.0.0.1:{free_port()}",
    )  # fmt: skip
    refused(done, 1, f"another millrace uses this folder: pid {stack.pid('edge')}")
    assert stack.rows("SELECT version FROM registry_version") == before
    publish(stack.mqtt, ("iot/m1/telemetry", b'{"x": 1}'))
    books = stack.wait_until_drained()
    assert books["difference"] == 0
    assert stack.is_ready()
    assert "is back" not in stack.log.read_text()
    assert "child_died" not in stack.log.read_text()


def test_f49_p5_a_core_beside_the_core_changes_nothing(stack: Stack) -> None:
    stored = sum(row["stored"] for row in stack.books()["families"])
    command = [sys.executable, "-m", "millrace", "run", "process", "--data", str(stack.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as second:
        assert second.stdout is not None
        second.stdout.readline()  # it says that it is ready, and so has taken the positions over
        for n in range(20):
            publish(stack.mqtt, ("iot/m1/telemetry", b'{"x": %d}' % n))
        books = stack.wait_until_drained()
        second.terminate()
        second.wait(15)
    assert books["difference"] == 0
    assert sum(row["stored"] for row in books["families"]) == stored + 20
    publish(stack.mqtt, ("iot/m1/telemetry", b'{"x": 20}'))
    assert stack.wait_until_drained()["lag"] == 0
    stack.wait_until_ready()


def test_d11_another_number_of_partitions_is_refused(stack: Stack) -> None:
    done = millrace(stack.data.parent, "check", "--data", str(stack.data), LOG__PARTITIONS="8")
    assert done.returncode == 0
    copied = stack.data.parent / "copied"
    (copied / "data").mkdir(parents=True)
    with sqlite3.connect(stack.data / "log" / "log.db") as source:
        source.execute("VACUUM INTO ?", (str(copied / "log.db"),))
    (copied / "data" / "log").mkdir()
    (copied / "log.db").rename(copied / "data" / "log" / "log.db")
    refused(up(copied, LOG__PARTITIONS="8"), 2, "partitions")


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("UPDATE alembic_version SET version_num = 'r9999'", "r9999"),
        ("UPDATE snapshots SET version = 99", "version 99"),
    ],
)
def test_d22_data_of_a_later_release_is_left_alone(
    stack: Stack, tmp_path: Path, statement: str, text: str
) -> None:
    (tmp_path / "data").mkdir()
    publish(stack.mqtt, ("iot/m1/telemetry", b'{"x": 1}'))
    stack.wait_until_drained()
    with sqlite3.connect(stack.data / "millrace.db") as source:
        source.execute("VACUUM INTO ?", (str(tmp_path / "data" / "millrace.db"),))
    with sqlite3.connect(tmp_path / "data" / "millrace.db") as db:
        assert db.execute("PRAGMA journal_mode=wal").fetchone() == ("wal",)
        db.execute(statement)
    refused(up(tmp_path), 1, text)
