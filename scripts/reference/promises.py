"""Proofs, faults and attacks, with the test files that cover them by name."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scripts.reference.document import codes, table

WORDS: Final = Path(__file__).parent / "promises.toml"
TESTS: Final = Path(__file__).parents[2] / "tests"
NOTHING: Final = "no test by this id yet"

_NAME = re.compile(r"def test_((?:[pfa]\d+_(?:and_)?)+)")
# F2 is a family of devices, too, and most tests that begin like this are about it.
_FAULT_2: Final = ("faults",)


def found() -> dict[str, set[str]]:
    """Return the test files of each id that a name begins with, like `test_f1_p1_...`."""
    files: dict[str, set[str]] = {}
    for path in sorted(TESTS.rglob("*.py")):
        for match in _NAME.finditer(path.read_text()):
            for number in _ids(match[1], path):
                files.setdefault(number, set()).add(str(path.relative_to(TESTS.parent)))
    return files


def _ids(prefix: str, path: Path) -> Iterator[str]:
    parts = [part for part in prefix.upper().split("_") if part and part != "AND"]
    for part in parts:
        if part != "F2" or path.parent.name in _FAULT_2:
            yield part


def proofs() -> str:
    """Return the table of what must hold."""
    return _render("proofs")


def faults() -> str:
    """Return the table of what may go wrong."""
    return _render("faults")


def attacks() -> str:
    """Return the table of what somebody may try."""
    return _render("attacks")


def _render(section: str) -> str:
    words = tomllib.loads(WORDS.read_text())[section]
    files = found()
    rows = [(number, *_row(one, files.get(number, set()))) for number, one in words.items()]
    return table(("id", "what", "proof"), rows)


def _row(one: str | dict[str, str], files: set[str]) -> tuple[str, str]:
    if isinstance(one, str):
        return one, codes(sorted(files)) or NOTHING
    return one["what"], codes(sorted(files)) or f"{one['absent']} in this release"
