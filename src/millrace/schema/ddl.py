"""Write the whole schema as SQL text, which is what a revision keeps.

A revision must never change once it is released, the tables do; so the text is written down when
the revision is made: `python -m millrace.schema.ddl sqlite > <revision>_sqlite.sql`. A test
compares what the revisions build with what the tables say.
Source: REG-002, REG-080, REG-130.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from millrace.schema import ledger, seeds, views
from millrace.schema.catalogue import data_point_icons, device_types
from millrace.schema.operations import alert_rules
from millrace.schema.pipeline import registry_version

metadata = ledger.series.metadata

SEPARATOR: Final = ";\n\n"


def statements(dialect_name: str) -> Iterator[str]:
    """Yield what builds an empty registry with its views and base rows, in order."""
    # In other styles of parameters a percent sign of a CHECK would be doubled.
    make_dialect: Callable[..., Dialect] = URL.create(dialect_name).get_dialect()
    dialect = make_dialect(paramstyle="named")
    for table in metadata.sorted_tables:
        yield _text(CreateTable(table).compile(dialect=dialect))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield _text(CreateIndex(index).compile(dialect=dialect))
    for name, query in views.VIEWS.items():
        yield f"CREATE VIEW {name} AS {query}"
    yield from _base_rows(dialect)


def _base_rows(dialect: Dialect) -> Iterator[str]:
    yield _insert(registry_version, {"id": 1}, dialect)
    for row in seeds.DEVICE_TYPES:
        yield _insert(device_types, row, dialect)
    for name in seeds.ICONS:
        yield _insert(data_point_icons, {"icon_name": name}, dialect)
    for row in seeds.ALERT_RULES:
        yield _insert(alert_rules, row, dialect)


def _insert(table: sa.Table, row: dict[str, Any], dialect: Dialect) -> str:
    query = sa.insert(table).values(row)
    return _text(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _text(compiled: object) -> str:
    return "\n".join(line.rstrip() for line in str(compiled).strip().splitlines())


if __name__ == "__main__":
    sys.stdout.write(SEPARATOR.join(statements(sys.argv[1])) + "\n")
