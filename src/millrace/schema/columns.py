"""The column types of the registry, and what a table of it is made of.

Each function makes one column with the CHECKs of its type, the same on SQLite and PostgreSQL. What
differs between the two hangs on the dialect (REG-001), never on who calls. Names of constraints and
indexes follow one convention, because later migrations have to name them.
Source: REG-001, REG-006, REG-007 and the type table of registry.md.
"""

from collections.abc import Iterable
from typing import Any, Final, TypedDict, Unpack

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

Items = list[sa.Column[Any] | sa.CheckConstraint | sa.Index]

_TEXT_ON_SQLITE = sa.Text()
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_REAL: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
_BOOL = sa.Boolean().with_variant(sa.Integer(), "sqlite")
_JSON = postgresql.JSONB().with_variant(_TEXT_ON_SQLITE, "sqlite")
_AT = sa.DateTime(timezone=True).with_variant(_TEXT_ON_SQLITE, "sqlite")
_HEX_DIGITS: Final = "0123456789abcdef"
_WORD: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class database_now(sa.sql.functions.FunctionElement[Any]):  # noqa: N801 - reads as an SQL function
    """The clock of the database, for rows written by hand (REG-005)."""

    inherit_cache: bool | None = True


@compiles(database_now)
def _now_of_server(element: database_now, compiler: SQLCompiler, **options: Any) -> str:
    del element, compiler, options
    return "CURRENT_TIMESTAMP"


@compiles(database_now, "sqlite")
def _now_as_text(element: database_now, compiler: SQLCompiler, **options: Any) -> str:
    del element, compiler, options
    # SQLite counts milliseconds; three zeros make the 27 characters of every stored instant.
    return "(strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')"


NOW: Final = database_now()


class Marks(TypedDict, total=False):
    """The marks of REG-007; `to` and `on_delete` are REG-006."""

    required: bool
    default: str | float | bool | database_now
    unique: bool
    key: bool
    to: str
    on_delete: str


def table(name: str, *parts: Items) -> sa.Table:
    """Return a table of the registry; foreign keys that lead no index get one (REG-006)."""
    items = [item for part in parts for item in part]
    has_ident = any(isinstance(item, sa.Column) and item.identity for item in items)
    made = sa.Table(name, metadata, *items, sqlite_autoincrement=has_ident)
    for column in [column for column in made.columns if column.foreign_keys]:
        if column.name not in _leading(made):
            sa.Index(f"ix_{name}_{column.name}", column)
    return made


def _leading(made: sa.Table) -> set[str]:
    keys: Iterable[Any] = [made.primary_key, *made.indexes]
    unique = [c for c in made.constraints if isinstance(c, sa.UniqueConstraint)]
    return {next(iter(each.columns)).name for each in [*keys, *unique] if len(each.columns)}


def ident(name: str = "id") -> Items:
    """Return the numeric key of a table; its values are never used again."""
    return [sa.Column(name, _BIG, sa.Identity(always=False), primary_key=True)]


def integer(name: str, **marks: Unpack[Marks]) -> Items:
    """Return a column of 32-bit integers."""
    return [_column(name, sa.Integer(), marks)]


def big(name: str, **marks: Unpack[Marks]) -> Items:
    """Return a column of 64-bit integers."""
    return [_column(name, _BIG, marks)]


def real(name: str, **marks: Unpack[Marks]) -> Items:
    """Return a column of doubles; the application keeps them finite."""
    return [_column(name, _REAL, marks)]


def boolean(name: str, **marks: Unpack[Marks]) -> Items:
    """Return a column of truth values, 0 and 1 on SQLite."""
    rule = sa.CheckConstraint(f"{name} in (0,1)", name=name)
    return [_column(name, _BOOL, marks), rule.ddl_if(dialect="sqlite")]


def text(name: str, width: int, **marks: Unpack[Marks]) -> Items:
    """Return a column of text. Units: `width` in characters."""
    return [_column(name, sa.Text(), marks), *check(name, f"length({name}) <= {width}")]


def blob(name: str, width: int, **marks: Unpack[Marks]) -> Items:
    """Return a column of bytes. Units: `width` in bytes."""
    return [_column(name, sa.LargeBinary(), marks), *check(name, f"length({name}) <= {width}")]


def enum(name: str, *words: str, **marks: Unpack[Marks]) -> Items:
    """Return a text column that holds one of a few words."""
    listed = ",".join(f"'{word}'" for word in words)
    return [_column(name, sa.Text(), marks), *check(name, f"{name} in ({listed})")]


def hexes(name: str, width: int, **marks: Unpack[Marks]) -> Items:
    """Return a column of exactly `width` lower-case hex digits."""
    rule = f"length({name}) = {width} and ltrim({name},'{_HEX_DIGITS}') = ''"
    return [_column(name, sa.Text(), marks), *check(name, rule)]


def uuid(name: str, **marks: Unpack[Marks]) -> Items:
    """Return a column of UUIDs in lower-case text."""
    rule = f"length({name}) = 36 and ltrim({name},'{_HEX_DIGITS}-') = ''"
    return [_column(name, sa.Text(), marks), *check(name, rule)]


def devid(name: str = "device_id", **marks: Unpack[Marks]) -> Items:
    """Return a column of device ids: 1 to 128 of `[A-Za-z0-9_.:-]`, one of them a word sign."""
    rule = (
        f"length({name}) between 1 and 128 and ltrim({name},'{_WORD}_.:-') = ''"
        f" and ltrim({name},'_.:-') <> ''"
    )
    return [_column(name, sa.Text(), marks), *check(name, rule)]


def json(name: str, **marks: Unpack[Marks]) -> Items:
    """Return a column of JSON, valid text on SQLite."""
    rule = sa.CheckConstraint(f"json_valid({name})", name=name)
    return [_column(name, _JSON, marks), rule.ddl_if(dialect="sqlite")]


def at(name: str, **marks: Unpack[Marks]) -> Items:
    """Return a column of instants, UTC with microseconds."""
    rule = sa.CheckConstraint(f"length({name}) = 27", name=name)
    return [_column(name, _AT, marks), rule.ddl_if(dialect="sqlite")]


def check(name: str, rule: str) -> Items:
    """Return a CHECK of the table; with the name of a column it is the one of its type."""
    return [sa.CheckConstraint(rule, name=name)]


def index(*columns: str) -> Items:
    """Return an ordinary index."""
    return [sa.Index(None, *columns)]


def unique(name: str, *columns: str, where: str | None = None) -> Items:
    """Return a unique index; columns may be expressions, and `where` makes it partial."""
    keys = [sa.text(column) if "(" in column else column for column in columns]
    rule = None if where is None else sa.text(where)
    return [sa.Index(name, *keys, unique=True, sqlite_where=rule, postgresql_where=rule)]


def _column(name: str, kind: sa.types.TypeEngine[Any], marks: Marks) -> sa.Column[Any]:
    keys = [sa.ForeignKey(marks["to"], ondelete=marks.get("on_delete"))] if "to" in marks else []
    is_key = marks.get("key", False)
    return sa.Column(
        name,
        kind,
        *keys,
        primary_key=is_key,
        autoincrement=False,
        nullable=not (is_key or marks.get("required", False)),
        unique=marks.get("unique") or None,
        server_default=_default(marks.get("default")),
    )


def _default(value: str | float | bool | database_now | None) -> Any:  # noqa: FBT001 - a value, no switch
    match value:
        case bool():
            return sa.true() if value else sa.false()
        case int() | float():
            return sa.text(str(value))
        case _:
            return value
