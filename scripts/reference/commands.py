"""The command line: every command with its arguments, options, defaults and variables."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from millrace.cli.main import command
from scripts.reference.document import code, codes, table

NAMES: Final = {"str": "TEXT", "Path": "PATH", "int": "NUMBER", "float": "NUMBER"}


class Parameter(NamedTuple):
    """One argument or option of a command; an argument has one name, in capitals."""

    names: tuple[str, ...]
    form: str
    default: str
    variable: str
    words: str
    is_argument: bool


class Command(NamedTuple):
    """One command with its path, like `millrace simulate f2`."""

    path: str
    words: str
    parameters: tuple[Parameter, ...]

    @property
    def usage(self) -> str:
        """How it is called."""
        names = [
            f"{one.names[0]}…" if "repeatable" in one.form else one.names[0]
            for one in self.parameters
            if one.is_argument
        ]
        options = " [OPTIONS]" if len(names) < len(self.parameters) else ""
        return " ".join([self.path, *names]) + options


def found(app: typer.Typer | None = None, path: str = "millrace") -> Iterator[Command]:
    """Yield every command that is not hidden."""
    app = app or command()
    for one in app.registered_commands:
        if not one.hidden and one.callback is not None:
            name = one.name or one.callback.__name__
            words = inspect.cleandoc(one.callback.__doc__ or "").replace("\n", " ")
            yield Command(f"{path} {name}", words, tuple(_parameters(one.callback)))
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from found(group.typer_instance, f"{path} {group.name}")


def render() -> str:
    """Return a chapter for each command."""
    return "\n".join(map(_chapter, found()))


def _chapter(one: Command) -> str:
    parts = [f"### `{one.path}`\n", one.words, f"\n```text\n{one.usage}\n```\n"]
    rows = [
        (codes(row.names), row.form, row.default, code(row.variable), row.words)
        for row in one.parameters
    ]
    if rows:
        parts.append(table(("name", "form", "default", "variable", "what it does"), rows))
    return "\n".join(parts)


def _parameters(function: Callable[..., Any]) -> Iterator[Parameter]:
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, info = get_args(hints[name])[:2]
        if isinstance(info, ArgumentInfo):
            yield Parameter((name.upper(),), _form(kind), "", "", info.help or "", is_argument=True)
        elif isinstance(info, OptionInfo) and not info.hidden:
            names = tuple(one for one in (info.default, *(info.param_decls or ())) if one)
            variable = info.envvar if isinstance(info.envvar, str) else ""
            yield Parameter(
                names or (f"--{name.replace('_', '-')}",),
                _ranged(_form(kind), info),
                _default(parameter.default),
                variable,
                info.help or "",
                is_argument=False,
            )


def _form(kind: Any) -> str:
    if kind is bool:
        return "flag"
    if get_origin(kind) is list or any(get_origin(one) is list for one in get_args(kind)):
        return "TEXT, repeatable"
    if choices := getattr(kind, "__members__", None):
        return ", ".join(code(one.value) for one in choices.values())
    known = (getattr(one, "__name__", "") for one in (kind, *get_args(kind)))
    return next((NAMES[name] for name in known if name in NAMES), "TEXT")


def _ranged(form: str, info: OptionInfo) -> str:
    if info.min is None:
        return form
    bounds = f"{info.min:g} or more" if info.max is None else f"{info.min:g} to {info.max:g}"
    return f"{form}, {bounds}"


def _default(value: object) -> str:
    if value is None or value is False:
        return ""
    return code(str(getattr(value, "value", value)))
