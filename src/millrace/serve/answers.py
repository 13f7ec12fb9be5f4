"""Answers: JSON without NaN, entity tags, and bodies read strictly.

Source: API-001, API-006, API-018 (JSON depth); attacks A25, A42.
"""

import hashlib
import re
from typing import Any, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from millrace.serve.problems import Problem, validation_problem

Model = TypeVar("Model", bound=BaseModel)

MAX_DEPTH = 32
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def json_answer(body: Any, status: int = 200) -> Response:
    """Return a JSON answer; a number that JSON does not have becomes null."""
    return json_bytes(orjson.dumps(body), status)


def json_bytes(body: bytes, status: int = 200) -> Response:
    """Return a JSON answer that was encoded elsewhere."""
    return Response(body, status, media_type="application/json")


def tagged(request: Request, body: Any) -> Response:
    """Return a single resource with its `ETag`, or 304 when the caller has it (API-006)."""
    encoded = orjson.dumps(body)
    tag = f'"{hashlib.blake2b(encoded, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if has_tag(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(encoded, 200, headers, "application/json")


def has_tag(request: Request, tag: str) -> bool:
    """Return whether `If-None-Match` names this tag, compared weakly as GET does."""
    asked = request.headers.get("if-none-match", "")
    return asked.strip() == "*" or tag in _TAG.findall(asked)


async def read_body(request: Request, model: type[Model]) -> Model:
    """Return the JSON body as a model.

    Raises:
        Problem: 415, `malformed_json`, `unknown_field`, `missing_field` or `invalid_field`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem("unsupported_media_type", "Content-Type must be application/json")
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise Problem("malformed_json", "The body is not valid JSON") from None
    if not isinstance(body, dict):
        raise Problem("malformed_json", "The body must be a JSON object")
    if is_deeper(body, MAX_DEPTH):
        raise Problem("malformed_json", f"The body is nested deeper than {MAX_DEPTH} levels")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise validation_problem(error.errors(include_url=False)) from None


def is_deeper(value: Any, levels: int) -> bool:
    """Return whether arrays and objects are nested more than so many levels."""
    if not isinstance(value, dict | list):
        return False
    if levels == 0:
        return True
    inner = value.values() if isinstance(value, dict) else value
    return any(is_deeper(one, levels - 1) for one in inner)
