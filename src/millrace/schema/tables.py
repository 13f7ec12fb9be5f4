"""How registry and ledger are asked, whichever database holds them.

Statements are fixed texts in what SQLite and PostgreSQL have in common. Values are named, and what
the two spell differently has one spelling here, which each database reads as its own:

    :name                   a value
    texts(:name) k          a list of texts as rows; the column is `k.value`
    numbers(:name) k        a list of integers as rows
    CROSS JOIN x ON ...     what is before it drives; who plans for himself takes it as a join

Answers are the same from both: instants are text as REG-007 has them, JSON is text, bytes are
bytes, truth is 0 and 1 or False and True. No colon or percent sign has another meaning.
Source: REG-001, REG-005, D-20.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]


class Questions(Protocol):
    """One view of the database."""

    def rows(self, query: str, /, **values: Any) -> list[Row]:
        """Return all rows of a statement."""
        ...


class Changes(Questions, Protocol):
    """One write transaction."""

    def change(self, statement: str, /, **values: Any) -> int:
        """Run a statement; return how many rows it wrote."""
        ...

    def change_all(self, statement: str, rows: Iterable[Mapping[str, Any]], /) -> int:
        """Run a statement once for each row of values; return how many rows all of them wrote."""
        ...

    def next_number(self, table: str, /) -> int:
        """Return the number that the next row of a table may be given by the caller."""
        ...

    def follow_numbers(self, table: str, key: str = "id", /) -> None:
        """Let the database count on from the highest number of a table.

        Whoever writes explicit numbers calls it in the same transaction (REG-083).
        """
        ...


class Tables(Protocol):
    """One database. Thread-confined."""

    def reading(self) -> AbstractContextManager[Questions]:
        """Run the body on one view of the database.

        Raises:
            RetryError: It is busy or away; never answered as "there is nothing".
            StopError: It is damaged, or not the one that this release works on.
        """
        ...

    def writing(self) -> AbstractContextManager[Changes]:
        """Run the body as one transaction; an exception rolls it back.

        Raises:
            RetryError: Busy, away or no space; nothing was stored.
            StopError: A rule of the tables forbids it, or the database cannot be trusted.
        """
        ...

    def close(self) -> None:
        """Release the connection."""
        ...
