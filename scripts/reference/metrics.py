"""The metrics, read from the source of `observe.metrics`: names, types, labels, words, ids.

The ids stand in comments, and a label set without known values can be seen in the source only.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from inspect import getsource
from pathlib import Path
from typing import Any, Final, NamedTuple

from millrace.observe import metrics
from scripts.reference.document import code, codes, table

PROCESSES: Final = {
    "EdgeMetrics": ("edge", "role `ingest`, port `monitor.base_port`"),
    "CoreMetrics": ("core", "role `process`, port `monitor.base_port` + 1"),
    "ServeMetrics": ("serve", "role `serve`, port of `api.listen`"),
    "Metrics": ("every process", "all three"),
}
_ID = re.compile(r"# (MON-\d+)")


class Metric(NamedTuple):
    """One metric. `labels` maps a label to the values that are documented for it.

    `is_fed` says whether anything in the package counts into it.
    """

    owner: str
    name: str
    kind: str
    words: str
    labels: dict[str, tuple[str, ...]]
    id: str
    is_fed: bool


def found() -> Iterator[Metric]:
    """Yield all metrics in the order of the source."""
    text = getsource(metrics)
    lines = text.splitlines()
    for owner in ast.parse(text).body:
        if not isinstance(owner, ast.ClassDef) or owner.name not in PROCESSES:
            continue
        for step in ast.walk(owner):
            if isinstance(step, ast.Assign) and isinstance(step.value, ast.Call):
                call, target = step.value, ast.unparse(step.targets[0])
                if _is_make(call.func):
                    yield _metric(owner.name, call, lines, target)


def render() -> str:
    """Return a table for each process, and the values of the labels."""
    parts = []
    every = list(found())
    for owner, (process, where) in PROCESSES.items():
        rows = sorted(
            (one.id, code(one.name), one.kind, codes(one.labels), _words(one))
            for one in every
            if one.owner == owner
        )
        columns = ("id", "metric", "type", "labels", "what it is")
        parts.append(f"### {process.capitalize()}: {where}\n\n{table(columns, rows)}")
    values = {
        f"{one.name} {label}": (code(one.name), code(label), codes(names))
        for one in every
        for label, names in one.labels.items()
        if names
    }
    parts.append(f"### Label values\n\n{table(('metric', 'label', 'values'), values.values())}")
    return "\n".join(parts)


def _words(one: Metric) -> str:
    return one.words if one.is_fed else f"{one.words} Nothing counts it in this release."


def _is_make(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "make"
    )


def _metric(owner: str, call: ast.Call, lines: list[str], target: str) -> Metric:
    kind = ast.unparse(call.func).rpartition(".")[2]
    name, words = (str(ast.literal_eval(one)) for one in call.args[:2])
    labels: dict[str, tuple[str, ...]] = {}
    for keyword in call.keywords:
        value = _value(keyword.value)
        labels |= value if keyword.arg is None else {keyword.arg: value}
    number = _ID.search(lines[call.lineno - 1]) or _ID.search(lines[(call.end_lineno or 1) - 1])
    ending = "_total" if kind == "counter" else ""
    return Metric(
        owner,
        f"millrace_{name}{ending}",
        kind,
        words,
        labels,
        number[1] if number else "",
        not target.startswith("self.") or _is_named(target.removeprefix("self")),
    )


@cache
def _package() -> str:
    root = Path(metrics.__file__).parents[1]
    files = (path for path in sorted(root.rglob("*.py")) if path != Path(metrics.__file__))
    return "\n".join(path.read_text() for path in files)


def _is_named(attribute: str) -> bool:
    return re.search(rf"{re.escape(attribute)}\b", _package()) is not None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return getattr(metrics, node.id)
    if isinstance(node, ast.Dict):
        return {
            str(ast.literal_eval(key)): _value(value)
            for key, value in zip(node.keys, node.values, strict=True)
            if key is not None
        }
    return ast.literal_eval(node)
