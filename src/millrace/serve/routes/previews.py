"""Preview: what would become of a message, without its becoming anything.

Source: API-044, D-58.
"""

import base64
import binascii
from typing import Annotated, Any, Literal

import orjson
from fastapi import Request
from pydantic import Field, StringConstraints
from starlette.responses import Response

from millrace.serve.answers import json_answer, read_body
from millrace.serve.instants import read_instant
from millrace.serve.parameters import Instant, NoQuery, Nothing
from millrace.serve.problems import Problem, invalid
from millrace.serve.room import Here
from millrace.serve.routes.route import Route

MAX_TOPIC_BYTES = 65_535
_PAYLOADS = ("payload", "payload_text", "payload_b64")


class PreviewBody(Nothing):
    """API-044."""

    topic: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TOPIC_BYTES)]
    payload: Any = None
    payload_text: str | None = None
    payload_b64: str | None = None
    at: Instant | None = None
    retain: bool = False
    use_state: Annotated[Literal[False], Field(description="State is not copied yet")] = False


async def preview(request: Request, here: Here, _: NoQuery) -> Response:
    """Show what would become of a message; nothing is written."""
    asked = await read_body(request, PreviewBody)
    now_ns = here.deps.clock.now_ns()
    at_ns = now_ns if asked.at is None else read_instant("at", asked.at, now_ns)
    answer = await here.registry_desk.ask(
        "get", here.deps.preview, asked.topic, payload_of(asked), at_ns, asked.retain
    )
    return json_answer(answer)


def payload_of(asked: PreviewBody) -> bytes:
    """Return the payload that one of the three members holds. Raises: Problem."""
    given = [name for name in _PAYLOADS if name in asked.model_fields_set]
    if not given:
        raise Problem("missing_field", "Missing required field: payload")
    if len(given) > 1:
        raise invalid(given[1], f"give only one of {', '.join(_PAYLOADS)}")
    if given[0] == "payload":
        return orjson.dumps(asked.payload)
    if given[0] == "payload_text":
        return (asked.payload_text or "").encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(asked.payload_b64 or "", validate=True)
    except (binascii.Error, ValueError):
        raise invalid("payload_b64", "must be base64") from None


ROUTES = (
    Route("POST", "/api/decode/preview", preview, "API-044", "Preview decoding",
          body=PreviewBody),
)  # fmt: skip
