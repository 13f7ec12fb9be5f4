"""Options that several commands share; what they change is in `cli.configured`."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path | None, typer.Option("--data", help="Folder of all embedded data.")]
Http = Annotated[str | None, typer.Option("--http", help="HOST:PORT of page and API.")]
Mqtt = Annotated[str | None, typer.Option("--mqtt", help="HOST:PORT of the MQTT endpoint.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]
