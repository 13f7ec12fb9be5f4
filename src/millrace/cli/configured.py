"""The settings with the flags of a command on top, and whether they can work."""

from pathlib import Path
from typing import Any

from millrace.errors import UsageError
from millrace.settings import Settings, load
from millrace.wiring.checks import faults


def settings_from(
    data: Path | None = None, http: str | None = None, mqtt: str | None = None
) -> Settings:
    """Return the settings with these flags on top.

    Raises:
        UsageError: Something in file, environment or flags is wrong.
    """
    flags: dict[str, Any] = {}
    if data is not None:
        flags["data"] = data
    if http is not None:
        flags["api"] = {"listen": http}
    if mqtt is not None:
        # A second instance beside the first: only what was asked for has a fixed port.
        flags["broker"] = {"url": f"endpoint://{mqtt}", "websocket_port": 0}
    return load(flags)


def sound(settings: Settings) -> Settings:
    """Return settings that can work.

    Raises:
        UsageError: They cannot; every fault is listed.
    """
    found = faults(settings)
    if found:
        raise UsageError("\n".join(found), "correct the settings named above")
    return settings
