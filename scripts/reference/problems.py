"""The codes of problems, with their HTTP status."""

from millrace.serve.problems import STATUS
from scripts.reference.document import codes, table


def render() -> str:
    """Return the codes by status."""
    by_status: dict[int, list[str]] = {}
    for name, status in STATUS.items():
        by_status.setdefault(status, []).append(name)
    rows = [(str(status), codes(names)) for status, names in sorted(by_status.items())]
    return table(("status", "codes"), rows)
