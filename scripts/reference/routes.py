"""The routes of the API with their parameters, from the table that serves them."""

from typing import Any, get_args, get_type_hints

from fastapi.params import Query
from pydantic import BaseModel

from millrace.serve.parameters import Nothing
from millrace.serve.routes import ALL, Route
from millrace.serve.routes.live import SOCKET_PATH
from scripts.reference.document import code, table


def render() -> str:
    """Return the table of routes, and a chapter for each that takes parameters or a body."""
    rows = [(one.promise, one.method, code(one.path), f"{one.summary}.") for one in ALL]
    rows.append(("API-130", "GET", code(SOCKET_PATH), "The live stream, a WebSocket; see below."))
    parts = [table(("id", "method", "path", "what it does"), rows)]
    for route in ALL:
        parts += _chapters(route)
    return "\n".join(parts)


def _chapters(route: Route) -> list[str]:
    fields = [(name, shape, "query") for name, shape in _members(query_of(route))]
    if route.body is not None:
        fields += [(name, shape, "body") for name, shape in _members(route.body)]
    if not fields:
        return []
    rows = [(code(name), place, *shape) for name, shape, place in fields]
    columns = ("name", "in", "form", "default")
    return [f"#### `{route.method} {route.path}`\n\n{table(columns, rows)}"]


def query_of(route: Route) -> type[BaseModel]:
    """Return the model of the query parameters of a route."""
    for hint in get_type_hints(route.handler, include_extras=True).values():
        kind, *extras = get_args(hint) or (None,)
        if any(isinstance(extra, Query) for extra in extras):
            return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else Nothing
    return Nothing


def _members(model: type[BaseModel]) -> list[tuple[str, tuple[str, str]]]:
    schema = model.model_json_schema()
    required = schema.get("required", [])
    return [
        (name, (_form(shape), "required" if name in required else _default(shape)))
        for name, shape in schema["properties"].items()
    ]


def _default(shape: dict[str, Any]) -> str:
    value = shape.get("default")
    if value is None or value == []:
        return ""
    text = " ".join(value) if isinstance(value, list) else str(value)
    return code("false" if value is False else text)


def _form(shape: dict[str, Any]) -> str:
    if "anyOf" in shape:
        return " or ".join(_form(one) for one in shape["anyOf"] if one.get("type") != "null")
    if "enum" in shape or "const" in shape:
        words = shape.get("enum") or [str(shape["const"]).lower()]
        return ", ".join(map(code, words))
    match shape.get("type"):
        case "array":
            form = f"{_form(shape['items'])}; repeatable, at most {shape['maxItems']}"
        case "integer":
            form = f"whole number, {shape['minimum']} to {shape['maximum']}"
        case "boolean":
            form = "`true`, `false`"
        case "string":
            longest = shape.get("maxLength")
            form = f"text, at most {longest} characters" if longest else "text"
        case _:
            form = "any JSON value"
    return form
