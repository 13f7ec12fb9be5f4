"""`python -m scripts.reference [--check]`: bring docs/reference up to date, or say what is not."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from scripts.reference import commands, metrics, problems, routes, settings, tables
from scripts.reference.document import insert

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "reference"
PARTS: Final[dict[str, dict[str, Callable[[], str]]]] = {
    "settings.md": {"settings": settings.render},
    "metrics.md": {"metrics": metrics.render},
    "cli.md": {"commands": commands.render},
    "api.md": {"routes": routes.render, "problems": problems.render},
    "tables.md": {"tables": tables.render},
}


def documents() -> dict[Path, str]:
    """Return each reference document as it should be."""
    result = {}
    for name, parts in PARTS.items():
        text = (FOLDER / name).read_text()
        for part, render in parts.items():
            text = insert(text, part, render())
        result[FOLDER / name] = text
    return result


def main(arguments: list[str]) -> int:
    """Write what has changed; with `--check` write nothing and return 1 when something has."""
    changed = {path: text for path, text in documents().items() if path.read_text() != text}
    for path, text in changed.items():
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
        if "--check" not in arguments:
            path.write_text(text)
    return 1 if changed and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
