"""Logs: form, masks, escapes."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from millrace.errors import UsageError
from millrace.observe import set_up_logging


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_mon_240_one_json_object_a_line() -> None:
    stream = io.StringIO()
    set_up_logging("millrace-serve", stream=stream)
    structlog.get_logger().info("started", port=8080)
    line = json.loads(stream.getvalue())
    assert line["service"] == "millrace-serve"
    assert (line["event"], line["level"], line["port"]) == ("started", "info", 8080)
    assert line["ts"].endswith("Z")


@pytest.mark.parametrize("form", ["json", "text"])
def test_a31_control_characters_are_escaped(form: str) -> None:
    stream = io.StringIO()
    set_up_logging("millrace-serve", form=form, stream=stream)
    structlog.get_logger().info("name", device="a\r\n{}\x1b[31m\u2028")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
def test_mon_241_secrets_are_masked(form: str) -> None:
    stream = io.StringIO()
    set_up_logging("millrace-serve", level="debug", form=form, stream=stream)
    structlog.get_logger().info(
        "connect", url="mqtt://me:hunter2@broker/?x=1", password="hunter2",  # noqa: S106 - what must not come out
        headers={"X-API-Key": "hunter2"}, parts=["/api/live?ticket=hunter2"],
    )  # fmt: skip
    logging.getLogger("uvicorn.error").warning('"WebSocket /api/live?ticket=%s"', "hunter2")
    assert stream.getvalue().count("\n") == 2
    assert "hunter2" not in stream.getvalue()


def test_a_level_that_is_not_known_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        set_up_logging("millrace-serve", level="loud")
