"""`millrace run ROLE…`: roles in this process, until told to end."""

from typing import Annotated

import typer

from millrace import app
from millrace.cli.configured import settings_from, sound
from millrace.cli.hosting import start
from millrace.cli.options import Data, Http, Mqtt
from millrace.cli.roles import run_roles
from millrace.errors import UsageError
from millrace.observe import set_up_logging


def run(
    roles: Annotated[list[str], typer.Argument(help=f"One or more of: {' '.join(app.ROLES)}.")],
    data: Data = None,
    http: Http = None,
    mqtt: Mqtt = None,
) -> None:
    """Run one or more roles in this process; SIGTERM drains and ends."""
    unknown = [role for role in roles if role not in app.ROLES]
    if unknown:
        raise UsageError(
            f"there is no role {', '.join(unknown)}", f"choose from: {' '.join(app.ROLES)}"
        )
    settings = sound(settings_from(data, http, mqtt))
    set_up_logging(roles[0], level=settings.logging.level, form=settings.logging.format)
    start(run_roles(settings, roles, child=False))
