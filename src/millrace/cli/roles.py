"""Running roles in this process until somebody asks for the end."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from millrace import app
from millrace.cli.hosting import end_on_signals, end_with_parent
from millrace.flow.life import Life
from millrace.settings import Settings


async def run_roles(settings: Settings, roles: list[str], *, child: bool) -> None:
    """Run roles until a signal comes or, for a child, the parent has closed standard input."""
    waiting = set(roles)
    said: dict[str, Any] = {}

    def announce(role: str, listening: Mapping[str, Any]) -> None:
        waiting.discard(role)
        said.update(listening)
        if not waiting:
            sys.stdout.write(json.dumps({"ready": roles, "listening": said}) + "\n")
            sys.stdout.flush()

    life = Life(announce)
    end_on_signals(life)
    if child:
        await end_with_parent(life)
    await app.run(settings, roles, life)
