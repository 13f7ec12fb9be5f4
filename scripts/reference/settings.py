"""The settings: names, types and defaults from the model, words from `examples/millrace.toml`.

In that file every setting is commented out at its default, below the lines that say what it does;
a setting without such lines cannot be documented, and the script says so.
"""

import json
import re
from pathlib import Path
from typing import Any, Final

from millrace.settings import Settings
from scripts.reference.document import code, table

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "millrace.toml"
LISTS: Final = {"generic": "GenericSettings", "generic.readings": "GenericReading"}

_HEADER = re.compile(r"(?:# )?(\[+[a-z0-9.]+\]+)")
_SETTING = re.compile(r"# ([a-z0-9_]+) = (.+)")


def example() -> dict[str, dict[str, tuple[str, str]]]:
    """Return value and words of every setting of the example, by section and name."""
    found: dict[str, dict[str, tuple[str, str]]] = {"": {}}
    section, words = "", list[str]()
    for line in EXAMPLE.read_text().splitlines():
        header, setting = _HEADER.fullmatch(line), _SETTING.fullmatch(line)
        if header:
            section = header[1].strip("[]")
            found[section] = {}
        elif setting:
            found[section][setting[1]] = (setting[2], " ".join(words))
        if line.startswith("# ") and not (header or setting):
            words.append(line[2:])
        else:
            words = []
    return found


def with_defaults() -> str:
    """Return the text of the example with the defaults that hold."""
    schema = Settings.model_json_schema()
    sections = {
        name: schema["$defs"][shape["$ref"].rpartition("/")[2]]
        for name, shape in schema["properties"].items()
        if "$ref" in shape
    }
    section, lines = schema, []
    for line in EXAMPLE.read_text().splitlines():
        header, setting = _HEADER.fullmatch(line), _SETTING.fullmatch(line)
        if header:
            section = sections.get(header[1].strip("[]"), {"properties": {}})
        default = section["properties"].get(setting[1], {}).get("default") if setting else None
        is_shown = setting is not None and default is not None
        lines.append(f"# {setting[1]} = {json.dumps(default)}" if setting and is_shown else line)
    return "\n".join(lines) + "\n"


def render() -> str:
    """Return all sections as tables."""
    schema = Settings.model_json_schema()
    words, parts = example(), []
    for name, shape in schema["properties"].items():
        if "$ref" in shape:
            section = schema["$defs"][shape["$ref"].rpartition("/")[2]]
            parts.append(_section(f"`[{name}]`", section, words[name]))
        elif name not in LISTS:
            own = {"description": "", "properties": {name: shape}}
            parts.append(_section("At the top", own, words[""]))
    for name, definition in LISTS.items():
        parts.append(_section(f"`[[{name}]]`", schema["$defs"][definition], words[name]))
    return "\n".join(parts)


def _section(title: str, section: dict[str, Any], words: dict[str, tuple[str, str]]) -> str:
    missing = section["properties"].keys() - words.keys()
    if missing:
        raise ValueError(f"{title}: {EXAMPLE.name} does not explain {', '.join(sorted(missing))}")
    rows = [
        (code(name), _form(shape), _default(shape), words[name][1])
        for name, shape in section["properties"].items()
    ]
    described = section["description"]
    body = table(("setting", "form", "default", "what it does"), rows)
    return f"### {title}\n\n{described}\n\n{body}" if described else f"### {title}\n\n{body}"


def _default(shape: dict[str, Any]) -> str:
    if "default" not in shape:
        return "required"
    return "unset" if shape["default"] is None else code(json.dumps(shape["default"]))


def _form(shape: dict[str, Any]) -> str:
    if "anyOf" in shape:
        return " or ".join(_form(one) for one in shape["anyOf"] if one.get("type") != "null")
    if "const" in shape:
        return code(shape["const"])
    if "enum" in shape:
        return ", ".join(map(code, shape["enum"]))
    if shape.get("type") == "array":
        return "list of tables" if "$ref" in shape["items"] else "list of texts"
    if shape.get("type") in ("integer", "number"):
        kind = "whole number" if shape["type"] == "integer" else "number"
        return f"{kind}{_range(shape)}"
    return "path" if shape.get("format") == "path" else "text"


def _range(shape: dict[str, Any]) -> str:
    low, high = shape.get("minimum"), shape.get("maximum")
    if high is not None:
        return f", {low} to {high}"
    return "" if low is None else f", {low} or more"
