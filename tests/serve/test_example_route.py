"""The route of docs/howto/add-a-route.md, in a real application."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI

from examples.route_freshness import freshness
from millrace.serve.routes import ALL
from tests.architecture.documents import ROOT, blocks
from tests.serve.conftest import client_of
from tests.serve.memory import Town

NOON_NS = 1_772_366_400 * 10**9
PATH = "/api/devices/attic/freshness"


@pytest.fixture
def app(make_app: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.setattr("millrace.serve.app.ALL", (*ALL, *freshness.ROUTES))
    return make_app()


async def test_it_answers(app: FastAPI, town: Town) -> None:
    town.add_device("attic")
    async with client_of(app) as client:
        empty = await client.get(PATH)
        assert empty.json() == {"device_id": "attic", "newest": None, "age_s": None}
        series = town.series_id("attic", "temperature_celsius")
        town.commit([(series, NOON_NS - 2_500_000_000, 21.5, 0, 0)], NOON_NS)
        answer = await client.get(PATH)
        assert answer.status_code == 200
        assert answer.json()["newest"] == "2026-03-01T11:59:57.500Z"
        assert answer.json()["age_s"] == 2.5


async def test_the_rules_of_all_routes_hold(app: FastAPI) -> None:
    async with client_of(app) as client:
        missing = await client.get("/api/devices/nobody/freshness")
        assert (missing.status_code, missing.json()["code"]) == (404, "device_not_found")
        unknown = await client.get(f"{PATH}?x=1")
        assert (unknown.status_code, unknown.json()["code"]) == (400, "unknown_parameter")
        paths = (await client.get("/api/openapi.json")).json()["paths"]
        assert "/api/devices/{device_id}/freshness" in paths


def test_the_document_shows_this_route() -> None:
    (shown, *_) = blocks(ROOT / "docs" / "howto" / "add-a-route.md", "python")
    text = (ROOT / "examples" / "route_freshness" / "freshness.py").read_text()
    assert shown.text == text
