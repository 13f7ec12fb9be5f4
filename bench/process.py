"""Helper processes of a case: they prepare, say that they are ready, wait for the word, and report.

So what they need for preparation is never part of what is measured.
"""

import json
import os
import subprocess
import sys
from threading import Timer
from typing import Any, Self

from bench.checks import CheckError
from bench.report import ROOT

DEADLINE_S = 120.0


class Worker:
    """One helper process, `python -m <module> <words>`."""

    def __init__(self, module: str, *words: object) -> None:
        self._name = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._deadline = Timer(DEADLINE_S, self._process.kill)
        self._deadline.daemon = True
        self._deadline.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def wait_ready(self) -> None:
        """Wait until it has prepared everything."""
        line = self._line()
        if line != "ready\n":
            raise CheckError(f"{self._name} ended before it was ready")

    def tell(self, line: str) -> None:
        """Give it a line to read."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def go(self) -> None:
        """Give the word."""
        self.tell("go")

    def result(self) -> dict[str, Any]:
        """Wait for the report. Raises: CheckError without one."""
        line = self._line()
        self._process.wait()
        if self._process.returncode or not line:
            raise CheckError(f"{self._name} ended with {self._process.returncode}")
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> None:
        """End it if it still runs."""
        self._deadline.cancel()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()
