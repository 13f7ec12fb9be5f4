"""docs/howto/run-a-cluster.md, followed literally, on the servers of `make servers`."""

import os
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.architecture.documents import ROOT, blocks
from tests.servers.installed import absent
from tests.servers.ports import free_port
from tests.whole.devices import publish

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(180)]

PAGE = ROOT / "docs" / "howto" / "run-a-cluster.md"
START_S = 90.0


@contextmanager
def make_servers(folder: Path) -> Iterator[str]:
    """Run `make servers` as a person does, and give the lines that it prints."""
    said = folder / "servers"
    with said.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "tests.servers"], stdout=out, cwd=ROOT)
    try:
        deadline = time.monotonic() + START_S
        while "# All run" not in (text := said.read_text()):
            assert process.poll() is None, text
            assert time.monotonic() < deadline, text
            time.sleep(0.1)
        if "is left out" in text:
            absent(next(line for line in text.splitlines() if "is left out" in line))
        yield text
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def commands(*starts: str) -> list[list[str]]:
    """Return the commands of the page that begin so, in order."""
    lines = [line for block in blocks(PAGE, "sh") for line in block.text.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(starts)]


def test_the_page_of_the_cluster(tmp_path: Path) -> None:
    (shown,) = blocks(PAGE, "toml")
    with make_servers(tmp_path) as text:
        printed = tomllib.loads(text)
        page = tomllib.loads(shown.text)
        assert printed.keys() | {"data"} == page.keys()
        for section, keys in printed.items():
            assert keys.keys() <= page[section].keys(), section
        (tmp_path / "millrace.toml").write_text(text)
        http = free_port()
        environment = {
            **os.environ,
            "MILLRACE_API__LISTEN": f"127.0.0.1:{http}",
            "MILLRACE_MONITOR__BASE_PORT": "0",
        }

        def millrace(words: list[str]) -> None:
            done = subprocess.run(
                [sys.executable, "-m", "millrace", *words[1:]], env=environment, cwd=tmp_path,
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (words, done.stdout[-1500:], done.stderr[-1500:])

        for words in commands("millrace migrate", "millrace check"):
            millrace(words)
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "millrace", *words[1:]], env=environment, cwd=tmp_path,
                stdout=subprocess.PIPE,
            )
            for words in commands("millrace run")
        ]  # fmt: skip
        try:
            assert [process.args[4] for process in running] == [  # type: ignore[index]
                "ingest", "process", "tend", "serve",
            ]  # fmt: skip
            for process in running:
                assert process.stdout is not None
                assert b"ready" in process.stdout.readline()
            port = int(printed["broker"]["url"].rpartition(":")[2])
            publish(port, ("sensors/temperature/attic", b'{"data": {"temperature_celsius": 21}}'))
            time.sleep(2)
            for words in commands("millrace audit", "millrace doctor"):
                millrace(words)
        finally:
            for process in running:
                process.terminate()
            codes = [process.wait(15) for process in running]
            for process in running:
                if process.stdout is not None:
                    process.stdout.close()
    assert codes == [0, 0, 0, 0]
