"""A data folder that a stack has left behind, and the command line to look at it with."""

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from millrace.cli.main import main
from tests.whole.devices import publish
from tests.whole.stack import running


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: bytes
    stderr: bytes


Command = Callable[..., Done]


@pytest.fixture(scope="session")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a stack that has ended in order."""
    data = tmp_path_factory.mktemp("cli") / "data"
    with running(data) as stack:
        readings = [
            ("iot/m1/telemetry", b'{"seq":%d,"ts":%d,"measurements":[{"type":"=v","val":%d,'
             b'"unit":"V"}]}' % (n, 1_772_366_400 + n, n))
            for n in range(300)
        ]  # fmt: skip
        publish(stack.mqtt, *readings, ("iot/m2/telemetry", b"broken"))
        stack.wait_until_drained()
        assert stack.stop() == 0
    return data


@pytest.fixture
def data(left_behind: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(left_behind, tmp_path / "data"))


@pytest.fixture
def millrace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Command:
    """Runs a command in an empty folder, in this process to save the start of one."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> Done:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["millrace", *words])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            capsysbinary.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        captured = capsysbinary.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return run
