"""The documents as the tests see them: files, headings, links, fenced blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
NAMES: Final = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
FOLDERS: Final = ("docs", "examples", "changelog.d")
DOCUMENTS: Final = [
    *(ROOT / name for name in NAMES),
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.md"))),
]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, its text and its number in the document."""

    path: Path
    number: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.path.relative_to(ROOT)}#{self.number}"


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, *languages: str) -> list[Block]:
    """Return the fenced blocks of a document in these languages, in order."""
    found = _FENCE.finditer(path.read_text())
    every = [Block(path, number, *match.groups()) for number, match in enumerate(found, 1)]
    return [block for block in every if block.language in languages]


def all_blocks(*languages: str) -> list[Block]:
    return [block for path in DOCUMENTS for block in blocks(path, *languages)]


def prose(path: Path) -> str:
    """Return a document without its fenced blocks."""
    return _FENCE.sub("", path.read_text())


def codes(path: Path) -> Iterator[str]:
    """Yield what stands in backticks outside of blocks."""
    yield from _CODE.findall(prose(path))


def links(path: Path) -> Iterator[str]:
    """Yield the targets of links, pictures included."""
    yield from _LINK.findall(prose(path))


def anchors(path: Path) -> set[str]:
    """Return the anchors that the headings of a document give."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {_NOT_IN_ANCHORS.sub("", one.lower()).replace(" ", "-") for one in headings}
