"""Tables and generated regions of Markdown documents.

A region lies between `<!-- NAME:begin -->` and `<!-- NAME:end -->`; what stands around it is
written by hand.
"""

from collections.abc import Iterable, Sequence


def insert(text: str, name: str, content: str) -> str:
    """Return a document with the content of one region replaced.

    Raises:
        ValueError: The document does not have that region once.
    """
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the region {name} is not there once")
    head, rest = text.split(begin)
    return f"{head}{begin}\n{content.strip()}\n\n{end}{rest.split(end)[1]}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [_line(columns), _line(["---"] * len(columns)), *map(_line, rows)]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Return a text as code, nothing for nothing."""
    return f"`{text}`" if text else ""


def codes(texts: Iterable[str]) -> str:
    """Return texts as code, one behind the other."""
    return " ".join(map(code, texts))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
