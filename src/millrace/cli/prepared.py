"""What `millrace up` does before roles may begin: settings, logs, data folder."""

import json
from pathlib import Path

from millrace.cli.configured import settings_from, sound
from millrace.observe import set_up_logging
from millrace.settings import Settings
from millrace.wiring.setup import prepare


def prepared(
    data: Path | None,
    http: str | None,
    mqtt: str | None,
    demo: bool,  # noqa: FBT001 - the order is that of `Flags`
) -> Settings:
    """Return the settings, with the data folder ready for them.

    Raises:
        UsageError: Something in file, environment or flags is wrong.
        StopError: The data folder cannot be used.
    """
    settings = sound(settings_from(data, http, mqtt))
    set_up_logging("up", level=settings.logging.level, form=settings.logging.format)
    prepare(settings, demo=demo)
    return settings


def flags_as_variables(settings: Settings) -> dict[str, str]:
    """Return the flags as variables, so that every process reads the same settings."""
    url = settings.broker.url
    return {
        "MILLRACE_DATA": str(settings.data),
        "MILLRACE_API__LISTEN": settings.api.listen,
        "MILLRACE_BROKER__WEBSOCKET_PORT": str(settings.broker.websocket_port),
        **({"MILLRACE_BROKER__URL": url} if isinstance(url, str) else {}),
    }


def word_of(variables: dict[str, str]) -> bytes:
    """Return the line that lets a process begin, as `cli.child` reads it."""
    return json.dumps(variables).encode() + b"\n"
