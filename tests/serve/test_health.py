"""How soon it is known that all is well. Source: MON-003, performance.md B13."""

import asyncio

import pytest

from millrace.errors import RetryError
from millrace.observe import Metrics
from millrace.serve import health
from millrace.serve.health import Health


class Neighbour:
    """A process that is there from the third look on."""

    def __init__(self) -> None:
        self.looks = 0

    def probe(self) -> None:
        self.looks += 1
        if self.looks < 3:
            raise RetryError("nobody answers")


async def look(neighbour: Neighbour, looks: int) -> None:
    async with asyncio.timeout(10):
        while neighbour.looks < looks:  # noqa: ASYNC110 - a probe sets no events
            await asyncio.sleep(0.01)


async def test_b13_what_starts_beside_us_is_looked_at_again_at_once() -> None:
    neighbour = Neighbour()
    one = Health({"mqtt": neighbour.probe}, Metrics(["serve"], version="1"))
    running = asyncio.get_running_loop().create_task(one.run())
    await look(neighbour, 3)
    await asyncio.sleep(0.3)
    assert one.verdict() == "healthy"
    assert neighbour.looks == 3, "what is well is looked at every 15 s"
    running.cancel()
    one.close()


async def test_b13_what_stays_away_is_not_looked_at_often_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "STARTING_S", 0.0)
    neighbour = Neighbour()
    one = Health({"mqtt": neighbour.probe}, Metrics(["serve"], version="1"))
    running = asyncio.get_running_loop().create_task(one.run())
    await look(neighbour, 1)
    await asyncio.sleep(0.3)
    assert neighbour.looks == 1
    assert one.verdict() == "degraded"
    running.cancel()
    one.close()
