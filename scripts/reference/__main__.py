"""`python -m scripts.reference [--check]`: bring the documents up to date, or say what is not."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from scripts.reference import commands, metrics, problems, promises, routes, settings, tables
from scripts.reference.document import insert

ROOT: Final = Path(__file__).parents[2]
PARTS: Final[dict[str, dict[str, Callable[[], str]]]] = {
    "docs/reference/settings.md": {"settings": settings.render},
    "docs/reference/metrics.md": {"metrics": metrics.render},
    "docs/reference/cli.md": {"commands": commands.render},
    "docs/reference/api.md": {"routes": routes.render, "problems": problems.render},
    "docs/reference/tables.md": {"tables": tables.render},
    "docs/reliability.md": {"proofs": promises.proofs, "faults": promises.faults},
    "SECURITY.md": {"attacks": promises.attacks},
}


def documents() -> dict[Path, str]:
    """Return each document, and the example of the settings, as they should be."""
    result = {settings.EXAMPLE: settings.with_defaults()}
    for name, parts in PARTS.items():
        text = (ROOT / name).read_text()
        for part, render in parts.items():
            text = insert(text, part, render())
        result[ROOT / name] = text
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
