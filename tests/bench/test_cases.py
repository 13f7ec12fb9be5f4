"""Every case of the bench runs, small, and finds what it measured to be right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as command
from bench.bench import Bench
from bench.cases import b6
from bench.checks import CheckError
from tests.servers.installed import program

ROOT = Path(__file__).parents[2]
CASES = ("b1", "b2", "b3", "b5", "b6", "b7", "b8", "b9", "b10", "b11", "b12", "b13")


def test_every_case_is_tested() -> None:
    found = {path.stem for path in (ROOT / "bench" / "cases").glob("b*.py")}
    assert found == set(CASES)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_case_runs(case: str, tmp_path: Path) -> None:
    if case == "b2":
        program("mosquitto")
    words = ["-m", "bench", case, "--quick", "--results", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = tmp_path.glob("*-quick.json")
    found = json.loads(result.read_text())
    assert found["wrong"] == {}
    assert found["quick"]
    assert {row["case"] for row in found["rows"]} == {case.upper()}
    assert any(row["measured"] is not None for row in found["rows"])
    assert found["machine"]["libraries"]


def test_wrong_result_has_no_figures_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(bench: Bench) -> None:
        bench.row("messages", 1e9, "msg/s")
        raise CheckError("one message is missing\nand this is why")

    monkeypatch.setattr(b6, "run", run)
    monkeypatch.setattr(sys, "argv", ["bench", "B6", "--results", str(tmp_path)])
    assert command.main() == 1
    (result,) = tmp_path.glob("*.json")
    found = json.loads(result.read_text())
    assert found["rows"] == []
    assert found["wrong"] == {"B6": "one message is missing"}
    printed = capsys.readouterr()
    assert "WRONG" in printed.out
    assert "and this is why" in printed.err


def test_unknown_case_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "B99"])
    with pytest.raises(SystemExit):
        command.main()
