"""Reads the notation of the registry's documentation, so that tables can be held against it."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DOCUMENTED = Path(__file__).parent.parent / "vectors" / "registry_tables.txt"
ACTIONS = {"R": "RESTRICT", "C": "CASCADE", "N": "SET NULL", "A": "NO ACTION"}
PARENT_KEYS = {"devices": "device_id", "alert_rules": "rule_id"}


@dataclass
class Column:
    name: str
    kind: str
    argument: str
    required: bool = False
    default: str | None = None
    unique: bool = False
    key: bool = False
    parent: tuple[str, str, str] | None = None

    @property
    def words(self) -> list[str]:
        return self.argument.split("|")


@dataclass
class Table:
    name: str
    columns: list[Column] = field(default_factory=list)
    uniques: list[str] = field(default_factory=list)
    indexes: list[list[str]] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)


def documented_tables() -> dict[str, Table]:
    """Return every table of REG-010 to REG-054."""
    tables: dict[str, Table] = {}
    table = Table("")
    for line in DOCUMENTED.read_text(encoding="utf-8").splitlines():
        if line.startswith("--") or not line.strip():
            continue
        text = line.strip()
        if begins := re.match(r"REG-\d+ (\w+): ", text):
            table = tables[begins[1]] = Table(begins[1])
            text = text[begins.end() :]
        for part in re.split(r";\s*", text):
            _add(table, part.strip())
    return tables


def _add(table: Table, part: str) -> None:
    word, _, rest = part.partition(" ")
    if word == "unique":
        table.uniques.append(rest)
    elif word == "index":
        table.indexes.append(rest.strip("()").split(", "))
    elif word == "check":
        table.checks.append(rest)
    elif part:
        table.columns.append(_column(part))


def _column(text: str) -> Column:
    match = re.match(r"(\w+) (\w+)(?:\(([^)]*)\))?(!?)", text)
    assert match, text
    name, kind, argument, required = match.groups()
    column = Column(name, kind, argument or "", bool(required))
    for mark in re.findall(r"=(?:'[^']*'|\S+)|>\w \w+|\bpk\b|\bu\b", text[match.end() :]):
        if mark.startswith("="):
            column.default = mark[1:]
        elif mark.startswith(">"):
            action, parent = mark[1:].split()
            column.parent = (parent, PARENT_KEYS.get(parent, "id"), ACTIONS[action])
        elif mark == "pk":
            column.key = True
        else:
            column.unique = True
    return column


def sample(column: Column, *, seed: str = "1") -> Any:
    """Return a value that the column takes."""
    width = int(column.argument) if column.argument.isdecimal() else 0
    values: dict[str, Any] = {
        "id": int(seed),
        "int": 1,
        "big": 1,
        "real": 1.5,
        "bool": 1,
        "text": f"t{seed}"[:width],
        "bytes": b"x",
        "enum": column.words[0],
        "hex": seed.rjust(width, "0"),
        "uuid": f"7d2f4c1e-5b1a-4c7e-9a55-0f6c2f3b8d1{seed}",
        "devid": f"gate-{seed}",
        "json": "{}",
        "at": "2025-07-02T11:59:58.123456Z",
    }
    return values[column.kind]


def limits(column: Column) -> tuple[list[Any], list[Any]]:
    """Return values at the edge that the type of the column takes, and values it refuses."""
    width = int(column.argument) if column.argument.isdecimal() else 0
    uuid = "7d2f4c1e-5b1a-4c7e-9a55-0f6c2f3b8d10"
    cases: dict[str, tuple[list[Any], list[Any]]] = {
        "bool": ([0, 1], [2, "x"]),
        "text": (["é" * width], ["x" * (width + 1)]),
        "bytes": ([b"x" * width], [b"x" * (width + 1)]),
        "enum": (column.words, ["", "nope", column.words[0].swapcase()]),
        "hex": (["0" * width, "f" * width], ["0" * (width - 1), "F" * width, "g" * width]),
        "uuid": ([uuid], [uuid.upper(), uuid[:-1], uuid[:-1] + "g"]),
        "devid": (
            ["a", "a" * 128, "_.:-9", "Gate_7", "e4:fd"],
            ["", "a" * 129, "-", "_.:-", "a b", "a/b", "é"],
        ),
        "json": (["[]", "1", '{"a": [1]}'], ["", "{", "{'a': 1}"]),
        "at": (["2000-01-01T00:00:00.000000Z"], ["", "2000-01-01", "2000-01-01T00:00:00Z"]),
    }
    return cases.get(column.kind, ([], []))
