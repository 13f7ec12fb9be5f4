"""Tables and views of the database of registry and ledger, from their definitions."""

import re
from inspect import getsource

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from millrace.schema import ledger, registry
from millrace.schema.views import VIEWS
from scripts.reference.document import code, codes, table

_TABLE = re.compile(r'# (REG-\d+)\n\w+ = table\(\n    "(\w+)"')
_DIALECT = sqlite.dialect()


def ids() -> dict[str, str]:
    """Return the id of each table that has one."""
    sources = map(getsource, registry.TABLES)
    return {name: number for text in sources for number, name in _TABLE.findall(text)}


def render() -> str:
    """Return a chapter for each table, and the views."""
    numbers = ids()
    tables = ledger.series.metadata.tables
    known = sorted(tables, key=lambda name: (numbers.get(name, "REG-9"), name))
    parts = [_chapter(tables[name], numbers.get(name, "")) for name in known]
    rows = [(code(name.strip('"')),) for name in VIEWS]
    parts.append(f"### Views\n\n{table(('view',), rows)}")
    return "\n".join(parts)


def _chapter(one: sa.Table, number: str) -> str:
    rows = [
        (code(column.name), column.type.compile(dialect=_DIALECT), _notes(column))
        for column in one.columns
    ]
    title = f"### `{one.name}`" + (f" ({number})" if number else "")
    return f"{title}\n\n{table(('column', 'type', 'notes'), rows)}"


def _notes(column: sa.Column[object]) -> str:
    notes = []
    if column.primary_key:
        notes.append("key")
    elif not column.nullable:
        notes.append("required")
    if column.foreign_keys:
        targets = sorted(one.target_fullname for one in column.foreign_keys)
        notes.append(f"refers to {codes(targets)}")
    words = _words(column)
    if words:
        notes.append(f"one of {codes(words)}")
    return ", ".join(notes)


def _words(column: sa.Column[object]) -> list[str]:
    """Return the words that an enumerated column may hold."""
    wanted = f"{column.name} in ('"
    for check in column.table.constraints:
        if isinstance(check, sa.CheckConstraint) and str(check.sqltext).startswith(wanted):
            return re.findall(r"'([^']+)'", str(check.sqltext))
    return []
