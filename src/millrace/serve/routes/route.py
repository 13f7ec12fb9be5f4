"""What a route is: a row in a table, so that nothing is registered by importing a module."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

Handler = Callable[..., Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path. `promise` is the id of api.md or monitoring.md that it keeps."""

    method: str
    path: str
    handler: Handler
    promise: str
    summary: str
    body: type[BaseModel] | None = None
    is_documented: bool = True
