"""Problems: every answer that is not a success has this shape (RFC 9457).

`detail` is written by us for a person. It never holds a stack, SQL, a host name or a secret, so an
error that nobody expected is answered with its code alone and goes to the log instead.
Source: API-004; attack A38.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from millrace.errors import GoneError, MillraceError, NotFoundError, RejectError, RetryError

STATUS: dict[str, int] = {
    **dict.fromkeys(
        (
            "malformed_json", "unknown_field", "unknown_parameter", "missing_field",
            "invalid_field", "invalid_range", "invalid_cursor", "no_fields", "invalid_command",
            "invalid_params", "too_many_points", "invalid_result", "invalid_connection_status",
        ),
        400,
    ),
    **dict.fromkeys(("unauthenticated", "token_expired", "bad_credentials"), 401),
    **dict.fromkeys(("forbidden", "open_mode"), 403),
    **dict.fromkeys(
        (
            "not_found", "device_not_found", "command_not_found", "alert_not_found",
            "object_not_found", "unknown_topic",
        ),
        404,
    ),
    "method_not_allowed": 405,
    **dict.fromkeys(
        (
            "device_exists", "conflict", "command_final", "idempotency_conflict",
            "idempotency_in_progress", "no_device_key", "already_redriven",
        ),
        409,
    ),
    "gone": 410,
    "precondition_failed": 412,
    "body_too_large": 413,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    **dict.fromkeys(("rate_limited", "locked_out"), 429),
    "internal": 500,
    **dict.fromkeys(("store_unavailable", "overloaded"), 503),
}  # fmt: skip

_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
_BY_PYDANTIC = {"extra_forbidden": "unknown", "missing": "missing_field"}
_RETRY_AFTER_S = 1
_MAX_ECHO = 256


@dataclass(frozen=True, slots=True)
class Fault:
    """One field of the request and what is wrong with it."""

    field: str
    reason: str


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem; it is no fault of the program
    """Ends a request with one of the codes of API-004.

    `members` are added to the body as they are, like `min_every`.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.status = STATUS[code]
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.members = dict(members or {})
        if self.status == 503:  # noqa: PLR2004 - the one status that promises a better moment
            self.headers.setdefault("Retry-After", str(_RETRY_AFTER_S))


def invalid(field: str, reason: str, code: str = "invalid_field") -> Problem:
    """Return the problem of one bad field or parameter."""
    return Problem(code, f"{field}: {reason}", errors=[Fault(field, reason)])


def problem_response(problem: Problem, *, path: str, request_id: str) -> Response:
    """Return the answer to a problem."""
    title = problem.code.replace("_", " ").capitalize()
    body: dict[str, Any] = {
        "type": f"urn:millrace:problem:{problem.code}",
        "title": title,
        "status": problem.status,
        "detail": problem.detail or title,
        "instance": path[:_MAX_ECHO],
        "code": problem.code,
        "request_id": request_id,
        **problem.members,
    }
    if problem.errors:
        body["errors"] = [{"field": one.field, "reason": one.reason} for one in problem.errors]
    return Response(orjson.dumps(body), problem.status, problem.headers, "application/problem+json")


def problem_of(error: MillraceError) -> Problem:
    """Return what an error of the ports means to a caller."""
    match error:
        case GoneError():
            return Problem("gone", "It was removed by retention")
        case NotFoundError():
            return Problem("not_found", "Not found")
        case RetryError():
            return Problem("store_unavailable", "The store cannot answer at the moment")
        case RejectError() if error.reason in STATUS:
            return Problem(error.reason, error.detail)
        case _:
            return Problem("internal", "An unexpected error occurred")


def install(app: FastAPI) -> None:
    """Make every error of the application a problem."""

    async def on_problem(request: Request, error: Exception) -> Response:
        if not isinstance(error, Problem):
            error = _translate(request, error)
        return problem_response(
            error, path=request.url.path, request_id=request.scope.get("request_id", "")
        )

    for kind in (Problem, MillraceError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, on_problem)


def _translate(request: Request, error: Exception) -> Problem:
    if isinstance(error, RequestValidationError):
        return validation_problem(error.errors())
    if isinstance(error, HTTPException):
        code = _BY_STATUS.get(error.status_code, "internal")
        return Problem(code, error.detail, headers=error.headers)
    problem = problem_of(error) if isinstance(error, MillraceError) else Problem("internal")
    if problem.status >= 500:  # noqa: PLR2004 - ours, so it belongs in the log
        structlog.get_logger().warning(
            "request_failed", path=request.url.path, error=repr(error), code=problem.code
        )
    return problem


def validation_problem(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """Return the problem for what pydantic has found in parameters or a body."""
    faults = []
    code = ""
    for error in errors:
        place = tuple(error["loc"])
        kind = _BY_PYDANTIC.get(error["type"], "invalid_field")
        if kind == "unknown":
            kind = "unknown_parameter" if place[:1] == ("query",) else "unknown_field"
        code = code or kind
        field = ".".join(str(part) for part in place if part not in ("query", "body", "path"))
        faults.append(Fault(field[:_MAX_ECHO], str(error["msg"])))
    first = faults[0]
    detail = (
        f"Missing required field: {first.field}"
        if code == "missing_field"
        else f"{first.field}: {first.reason}"
    )
    return Problem(code, detail, errors=faults)
