"""The options of `millrace simulate`, with the variables that meters also read (MTR-152)."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from millrace.cli.options import AsJson, Data
from millrace.errors import UsageError
from millrace.simulate.f2_words import Speech

__all__ = ["AsJson", "Data"]

_FAULTS = "Faults: shares of messages"
_SHARE = {"min": 0.0, "max": 1.0}

Count = Annotated[int, typer.Option("--count", "--devices", min=1, help="Number of devices.")]
DeviceCount = Annotated[
    int,
    typer.Option("--count", "--devices", min=1, envvar="DEVICE_COUNT", help="Number of devices."),
]
Rate = Annotated[
    float,
    typer.Option("--rate", min=0.0, help="Messages a second in all; 0 is the natural pace."),
]
Url = Annotated[
    str | None, typer.Option("--url", help="mqtt://[USER:PASSWORD@]HOST:PORT, or mqtts://.")
]
Duration = Annotated[
    float | None, typer.Option("--duration", min=0.0, help="Seconds; without it until ended.")
]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same messages.")]
Interval = Annotated[
    float, typer.Option("--interval", min=0.01, help="Seconds between RS-485 frames.")
]
SendInterval = Annotated[
    int,
    typer.Option(
        "--interval", min=1, max=3600, envvar="SEND_INTERVAL_S", help="Seconds between datagrams."
    ),
]
SensorInterval = Annotated[
    float | None,
    typer.Option("--interval", min=0.01, help="Seconds between messages; default by kind."),
]
Cadence = Annotated[
    int,
    typer.Option(
        "--cadence", min=100, max=60_000, envvar="SAMPLING_CADENCE_MS",
        help="Milliseconds between samples.",
    ),
]  # fmt: skip
HelloInterval = Annotated[
    int,
    typer.Option(
        "--hello-interval", min=5, max=3600, envvar="HELLO_INTERVAL_S",
        help="Seconds between greetings, when sending is rarer.",
    ),
]  # fmt: skip
SpeechForm = Annotated[Speech, typer.Option("--form", help="How controllers write (F2-171).")]
Hurry = Annotated[
    float, typer.Option("--hurry", min=0.01, help="Divides the time between events of people.")
]
Garbage = Annotated[
    float,
    typer.Option("--faults", **_SHARE, help="Malformed payloads.", rich_help_panel=_FAULTS),
]
Gaps = Annotated[
    float, typer.Option("--gaps", **_SHARE, help="Never sent.", rich_help_panel=_FAULTS)
]
Duplicates = Annotated[
    float, typer.Option("--duplicates", **_SHARE, help="Sent twice.", rich_help_panel=_FAULTS)
]
Reordered = Annotated[
    float,
    typer.Option("--reordered", **_SHARE, help="Overtaken by the next.", rich_help_panel=_FAULTS),
]
Late = Annotated[
    float,
    typer.Option("--late", **_SHARE, help="Held back and sent together.", rich_help_panel=_FAULTS),
]
Reboots = Annotated[
    float,
    typer.Option("--reboots", **_SHARE, help="After a loss of power.", rich_help_panel=_FAULTS),
]
BadClocks = Annotated[
    float,
    typer.Option(
        "--bad-clocks", **_SHARE, help="1970, milliseconds, hours off.", rich_help_panel=_FAULTS
    ),
]
Anomalies = Annotated[
    float, typer.Option("--anomalies", **_SHARE, help="Share of values that alert.")
]
Qos = Annotated[int, typer.Option("--qos", min=0, max=2, help="Quality of service at most.")]
Connections = Annotated[
    int,
    typer.Option("--connections", min=0, help="Share so many connections; 0: one a device."),
]
Buffer = Annotated[
    int, typer.Option("--buffer", min=1, help="Messages a connection keeps while offline.")
]
Start = Annotated[
    str | None, typer.Option("--start", help="First instant of simulated time, RFC 3339.")
]
Keys = Annotated[
    Path | None,
    typer.Option("--keys", help="JSON file: device id to HMAC key in hex; signs commands."),
]
HealthPort = Annotated[
    int | None,
    typer.Option(
        "--health-port", min=0, max=65_535, envvar="HEALTH_PORT",
        help="Port of /healthz and /readyz; 0: none.",
    ),
]  # fmt: skip
Child = Annotated[bool, typer.Option("--child", hidden=True)]


def read_keys(path: Path | None) -> dict[str, bytes]:
    """Return the keys of meters by device id.

    Raises:
        UsageError: The file cannot be read, or is not of that form.
    """
    if path is None:
        return {}
    try:
        texts = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
        return {device_id: bytes.fromhex(text) for device_id, text in texts.items()}
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--keys {path}: no JSON object of device ids and keys in hex", "correct the file"
        ) from error
