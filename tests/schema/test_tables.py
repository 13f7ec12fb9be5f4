"""The tables say exactly what registry.md says (REG-001, REG-006, REG-007, REG-010 to REG-054)."""

import re

import apsw
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from millrace.schema.registry import metadata
from tests.schema.notation import Column, Table, documented_tables

TABLES = documented_tables()
SQLITE_TYPES = {
    "id": "INTEGER", "int": "INTEGER", "big": "INTEGER", "bool": "INTEGER", "real": "REAL",
    "bytes": "BLOB",
}  # fmt: skip
POSTGRES_TYPES = {
    "id": "BIGINT", "int": "INTEGER", "big": "BIGINT", "bool": "BOOLEAN",
    "real": "DOUBLE PRECISION", "bytes": "BYTEA", "json": "JSONB",
    "at": "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip

each_table = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())


def test_every_documented_table_is_there_and_no_other() -> None:
    from millrace.schema import ledger  # noqa: PLC0415 - adds its tables to the metadata

    own = {name for name, value in vars(ledger).items() if isinstance(value, sa.Table)}
    assert metadata.tables.keys() - own == TABLES.keys()


@each_table
def test_columns_have_documented_types_and_defaults(db: apsw.Connection, table: Table) -> None:
    stored = {row[1]: row for row in db.execute(f"PRAGMA table_info({table.name})")}
    assert list(stored) == [column.name for column in table.columns]
    for column in table.columns:
        _, _, kind, required, default, key = stored[column.name]
        assert kind == SQLITE_TYPES.get(column.kind, "TEXT"), column.name
        assert bool(required) == (column.required or column.key or column.kind == "id")
        assert bool(key) == (column.key or column.kind == "id")
        assert default == _default(column), column.name


def _default(column: Column) -> str | None:
    match column.default:
        case None:
            return None
        case "now":
            return "strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'"
        case "true" | "false" as word:
            return str(int(word == "true"))
        case text:
            return text


@each_table
def test_foreign_keys_act_as_documented(db: apsw.Connection, table: Table) -> None:
    rows = db.execute(f"PRAGMA foreign_key_list({table.name})")
    stored = {row[3]: (row[2], row[4], row[6], row[5]) for row in rows}
    assert stored == {
        column.name: (*column.parent, "NO ACTION") for column in table.columns if column.parent
    }


@each_table
def test_indexes_are_the_documented_ones(db: apsw.Connection, table: Table) -> None:
    found = [
        (bool(row[2]), *_index(db, str(row[1])))
        for row in db.execute(f"PRAGMA index_list({table.name})")
        if row[3] != "pk"
    ]
    wanted: list[tuple[bool, str, str | None]]
    wanted = [(True, column.name, None) for column in table.columns if column.unique]
    wanted += [(False, ", ".join(columns), None) for columns in table.indexes]
    for text in table.uniques:
        match = re.fullmatch(r"(?:\w+ )?\((.*?)\)(?: where (.*))?", text)
        assert match
        wanted.append((True, match[1], match[2]))
    leading = {columns.split(",")[0] for _, columns, _ in wanted}
    leading |= {column.name for column in table.columns if column.key or column.kind == "id"}
    keys = [column.name for column in table.columns if column.key]
    leading -= set(keys[1:])
    for column in table.columns:
        if column.parent and column.name not in leading:
            wanted.append((False, column.name, None))
    assert sorted(found, key=str) == sorted(wanted, key=str)


def _index(db: apsw.Connection, name: str) -> tuple[str, str | None]:
    text = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
    if text is None or text[0] is None:
        columns = [str(row[2]) for row in db.execute(f"PRAGMA index_info({name})")]
        return ", ".join(columns), None
    match = re.search(r"ON \w+ \((.*?)\)(?: WHERE (.*))?$", str(text[0]), re.DOTALL)
    assert match
    return match[1], match[2]


@each_table
def test_every_table_check_is_there(db: apsw.Connection, table: Table) -> None:
    row = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table.name,)).fetchall()[0]
    for rule in table.checks:
        assert f"CHECK ({rule})" in str(row[0])


@each_table
def test_the_same_table_compiles_for_postgresql(table: Table) -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    made = metadata.tables[table.name]
    text = str(CreateTable(made).compile(dialect=dialect))
    for column in table.columns:
        assert f"\t{column.name} {POSTGRES_TYPES.get(column.kind, 'TEXT')}" in text.replace('"', "")
    assert "json_valid" not in text
    for index in made.indexes:
        assert " ON " in str(CreateIndex(index).compile(dialect=dialect))


def test_numbers_are_never_used_again(db: apsw.Connection) -> None:
    insert = "INSERT INTO devices (device_id, device_name) VALUES (?, 'x') RETURNING id"
    (first,) = db.execute(insert, ("a",)).fetchall()[0]
    db.execute("DELETE FROM devices WHERE device_id = 'a'")
    (second,) = db.execute(insert, ("a",)).fetchall()[0]
    assert int(str(second)) > int(str(first))
