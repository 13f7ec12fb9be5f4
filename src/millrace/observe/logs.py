"""Logs: one line per call on standard error, with secrets masked and control characters escaped.

Source: monitoring.md 6, MON-240, MON-241; attacks A31, A45.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from millrace.errors import UsageError

_MASKED = re.compile(r"password|secret|token|key|authorization|cookie|sig|dsn", re.IGNORECASE)
_IN_TEXT = re.compile(r"(?<=[?&]ticket=)[^&\s\"']+|(?<=://)[^/\s@]+(?=@)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def set_up_logging(
    service: str, *, level: str = "info", form: str = "json", stream: TextIO | None = None
) -> None:
    """Write one line per log call to standard error, masked and escaped (MON-240, MON-241).

    Raises:
        UsageError: The level or the form is not known.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None or form not in {"json", "text"}:
        raise UsageError(
            f"logging.level {level!r} or logging.format {form!r} is not known",
            "use debug, info, warning or error; json or text",
        )
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _Named(service),
        structlog.processors.format_exc_info,
        mask,
    ]
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else _text_line
    )
    _take_over_stdlib(before, render, number, stream or sys.stderr)
    structlog.configure(
        processors=[*before, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )


def mask(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide secrets and escape control characters in every member of a log line (MON-241)."""
    return {key: _clean(key, value) for key, value in line.items()}


class _Named:
    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(
        self, logger: Any, _name: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        line["service"] = self._service
        line.setdefault("logger", getattr(logger, "name", None) or self._service)
        return line


def _clean(key: str, value: Any) -> Any:
    if _MASKED.search(key):
        return "***"
    if isinstance(value, str):
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", _IN_TEXT.sub("***", value))
    if isinstance(value, Mapping):
        return {str(inner): _clean(str(inner), one) for inner, one in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(key, one) for one in value]
    return value


def _text_line(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> str:
    head = f"{line.pop('ts')} {line.pop('level'):<7} {line.pop('event')}"
    line.pop("service", None)
    line.pop("logger", None)
    return " ".join([head, *(f"{key}={value}" for key, value in line.items())])


def _take_over_stdlib(
    before: list[structlog.typing.Processor],
    render: structlog.typing.Processor,
    level: int,
    stream: TextIO,
) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
