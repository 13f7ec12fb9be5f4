"""What a person sees while everything runs: where things listen, and how they go.

On a terminal the summary stays in place; elsewhere it is a line now and then, and `rich` is not
loaded.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import typer

from millrace.errors import RetryError
from millrace.flow.balance import Balance
from millrace.flow.supervise import Child
from millrace.settings import Settings
from millrace.wiring.setup import open_books

SUMMARY_EVERY_S = 1.0
PLAIN_SUMMARY_EVERY_S = 10.0


class Screen:
    """Standard error."""

    def __init__(self, settings: Settings, children: Sequence[Child]) -> None:
        self._settings = settings
        self._children = children
        self._shown = asyncio.Event()
        self._before = Balance()
        self._read: Callable[[], Balance] | None = None

    def changed(self, child: Child) -> None:
        """Print the addresses once everything is ready; say when a child is back."""
        if child.name == "demo":
            return
        if self._shown.is_set():
            _say(f"{child.name} is back (restart {child.restarts})")
        elif all(c.ready.is_set() for c in self._children if c.name != "demo"):
            self._shown.set()
            for line in self._addresses():
                _say(line)

    async def show(self) -> None:
        """Print the summary until cancelled, once there is something to sum up."""
        await self._shown.wait()
        with open_books(self._settings) as self._read:
            if sys.stderr.isatty():
                await self._show_in_place()
            while True:
                await asyncio.sleep(PLAIN_SUMMARY_EVERY_S)
                _say(self._summary(PLAIN_SUMMARY_EVERY_S))

    async def _show_in_place(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - on terminals only
        from rich.live import Live  # noqa: PLC0415

        with Live(console=Console(stderr=True), auto_refresh=False) as live:
            while True:
                await asyncio.sleep(SUMMARY_EVERY_S)
                live.update(self._summary(SUMMARY_EVERY_S), refresh=True)

    def _addresses(self) -> list[str]:
        rows = [
            (name, str(address), child.name)
            for child in self._children
            for name, address in child.said.get("listening", {}).items()
            if address
        ]
        rows.append(("data", str(self._settings.data.resolve()), ""))
        wide, wider = (max(len(row[column]) for row in rows) for column in (0, 1))
        return [
            f"{typer.style(name.ljust(wide), bold=True)}  {text.ljust(wider)}"
            f"  {typer.style(whose, dim=True)}"
            for name, text, whose in rows
        ]

    def _summary(self, seconds: float) -> str:
        if self._read is None:
            return "starting"
        with suppress(RetryError):
            result, before = self._read(), self._before
            self._before = result
            rate = (result.received.total() - before.received.total()) / seconds
            return (
                f"{rate:,.0f} msg/s   received {result.received.total():,}"
                f"   stored {result.stored.total():,}   duplicates {result.duplicate.total():,}"
                f"   dead letters {result.open_letters:,}   lag {result.lag:,}"
                f"   devices {result.devices:,}"
            )
        return "the books cannot be read at the moment"


def _say(line: str) -> None:
    typer.echo(line, err=True)
