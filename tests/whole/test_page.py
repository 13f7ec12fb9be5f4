"""The page in a real browser: what a person sees, follows live and can do without a mouse.

The stores are in memory; server, WebSocket and page are the real ones.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, Page, async_playwright, expect

from millrace.adapters.live_memory import MemoryLive
from millrace.observe import Metrics
from millrace.serve.app import create_app
from millrace.serve.deps import ServeDeps
from millrace.serve.server import serve_app
from tests.serve.memory import (
    MemoryHot,
    MemoryLiveRows,
    MemoryRegistry,
    MemorySeriesQuery,
    Town,
)
from tests.servers.installed import program

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
MARKUP = "<img src=x onerror=\"document.title='broken in'\">"

pytestmark = pytest.mark.browser


class RealClock:
    """The clock of the machine, because the browser has no other."""

    def now_ns(self) -> int:
        return time.time_ns()

    def steady_s(self) -> float:
        return time.monotonic()


@pytest.fixture
def town() -> Town:
    town = Town()
    now_ns = RealClock().now_ns()
    for number in range(300):
        town.add_device(
            f"car-{number:03}",
            device_name=f"Train car {number}",
            connection_status="offline" if number % 10 == 9 else "online",
            created_at=f"2026-02-12T10:{number // 60:02}:{number % 60:02}.000000Z",
        )
    town.add_device("evil", device_name=MARKUP, family="generic", created_at="2026-03-01")
    volts = town.series_id("car-299", "voltage_dc")
    rows = [(volts, now_ns - n * 1_000_000_000, 700.0 + n % 7, 0, 1) for n in range(1, 200)]
    town.commit(rows, now_ns)
    town.say("car-299", "fw_changed", now_ns, to="2.1.1")
    return town


def app_of(town: Town) -> FastAPI:
    return create_app(
        ServeDeps(
            series=MemorySeriesQuery(town), registry=MemoryRegistry(town), hot=MemoryHot(town),
            rows=MemoryLiveRows(town), live=MemoryLive(), preview=lambda *_: {},
            metrics=Metrics(["serve"]), clock=RealClock(),
            probes={"log": lambda: None, "metadata": lambda: None},
        )
    )  # fmt: skip


@asynccontextmanager
async def serving(app: FastAPI, port: int = 0) -> AsyncIterator[str]:
    over = asyncio.Event()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve_app(app, "127.0.0.1", port, over=over, ready=address.set_result))
        try:
            yield await address
        finally:
            over.set()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=program("chromium"), args=FLAGS)
        yield made
        await made.close()


@asynccontextmanager
async def opened(browser: Browser, url: str, **how: object) -> AsyncIterator[Page]:
    """Open a page, and fail for anything that it complains about."""
    page = await browser.new_page(**how)  # type: ignore[arg-type]
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
    )
    await page.goto(url)
    yield page
    await page.close()
    assert not complaints


async def commit_until(town: Town, device: str, value: float, page: Page, text: str) -> None:
    """Commit a reading again and again until the page shows it."""
    series = town.series_id(device, "voltage_dc")
    for _ in range(100):
        now_ns = RealClock().now_ns()
        town.commit([(series, now_ns, value, 0, 1)], now_ns)
        try:
            await expect(page.get_by_text(text).first).to_be_visible(timeout=200)
        except AssertionError:
            continue
        return
    raise AssertionError(text)


async def test_the_fleet_is_shown_and_follows_live(
    town: Town, browser: Browser, tmp_path: Path
) -> None:
    async with (
        serving(app_of(town)) as address,
        opened(browser, f"http://{address}/") as page,
    ):
        await expect(page.locator(".pill")).to_have_text("Live")
        await expect(page.get_by_text("301 devices")).to_be_visible()
        await expect(page.get_by_role("link", name="Train car 299")).to_be_visible()
        await commit_until(town, "car-299", 754.125, page, "754.13")
        # Rows out of sight do not exist, and come when they are scrolled to.
        assert await page.locator("tbody tr").count() < 60
        await page.locator(".scroll").evaluate("node => node.scrollTo(0, node.scrollHeight)")
        await expect(page.get_by_role("link", name="Train car 0", exact=True)).to_be_visible()
        await page.screenshot(path=tmp_path / "fleet.png")


async def test_search_filter_and_their_empty_answer(town: Town, browser: Browser) -> None:
    async with (
        serving(app_of(town)) as address,
        opened(browser, f"http://{address}/") as page,
    ):
        await page.get_by_label("Status", exact=True).select_option("offline")
        await expect(page.get_by_text("30 devices")).to_be_visible()
        await page.get_by_role("searchbox").fill("no such name")
        await expect(page.get_by_role("heading", name="No device matches")).to_be_visible()
        await page.get_by_role("button", name="Show all devices").click()
        await expect(page.get_by_text("301 devices")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_device_has_a_chart_that_goes_on(town: Town, browser: Browser, scheme: str) -> None:
    async with (
        serving(app_of(town)) as address,
        opened(browser, f"http://{address}/", color_scheme=scheme) as page,
    ):
        await page.get_by_role("link", name="Train car 299").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Train car 299")).to_be_focused()
        await expect(page.get_by_role("img", name="Chart of voltage dc")).to_be_visible()
        await expect(page.get_by_text("min 700")).to_be_visible()
        await commit_until(town, "car-299", 801.25, page, "max 801.25")
        await page.get_by_role("button", name="1 h", exact=True).click()
        await expect(page.get_by_text("mean 70")).to_be_visible()
        await expect(page.get_by_text("fw changed")).to_be_visible()
        town.say("car-299", "sequence_gap_opened", RealClock().now_ns(), missing=3)
        await expect(page.get_by_text("missing 3")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("heading", name="Train car 299")).to_have_count(0)


async def test_a30_markup_in_names_is_shown_never_run(town: Town, browser: Browser) -> None:
    async with (
        serving(app_of(town)) as address,
        opened(browser, f"http://{address}/#/devices/evil") as page,
    ):
        await expect(page.get_by_role("heading", name=MARKUP)).to_be_visible()
        await expect(page.get_by_text("No readings yet")).to_be_visible()
        assert await page.title() == "Millrace"
        assert await page.locator("#app img[src]").count() == 0


async def test_an_empty_fleet_says_how_to_begin(browser: Browser) -> None:
    async with (
        serving(app_of(Town())) as address,
        opened(browser, f"http://{address}/") as page,
    ):
        await expect(page.get_by_text("No device has spoken yet")).to_be_visible()
        await expect(page.get_by_text("millrace simulate")).to_be_visible()


async def test_a_device_that_does_not_exist_is_said_so(town: Town, browser: Browser) -> None:
    page = await browser.new_page()  # the browser itself reports the 404
    async with serving(app_of(town)) as address:
        await page.goto(f"http://{address}/#/devices/nobody")
        await expect(page.get_by_role("heading", name="There is no such device")).to_be_visible()
        await commit_until(town, "nobody", 640.5, page, "max 640.5")
        await page.close()


async def test_it_fits_a_phone(town: Town, browser: Browser) -> None:
    size = {"width": 360, "height": 740}
    async with (
        serving(app_of(town)) as address,
        opened(browser, f"http://{address}/", viewport=size) as page,
    ):
        await page.get_by_role("link", name="Train car 299").click()
        await expect(page.get_by_role("img", name="Chart of voltage dc")).to_be_visible()
        await expect(page.get_by_role("search")).to_be_hidden()
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"]
        await page.get_by_role("link", name="Back to all devices").click()
        await expect(page.get_by_role("search")).to_be_visible()


async def test_f5_a_page_whose_server_goes_away_resumes(town: Town, browser: Browser) -> None:
    page = await browser.new_page()
    async with serving(app_of(town)) as address:
        await page.goto(f"http://{address}/#/devices/car-299")
        await expect(page.locator(".pill")).to_have_text("Live")
        await commit_until(town, "car-299", 760.25, page, "max 760.25")
    await expect(page.locator(".pill")).to_have_text("Reconnecting")
    await expect(page.get_by_text("Millrace does not answer. What is shown")).to_be_visible()
    series = town.series_id("car-299", "voltage_dc")
    town.commit([(series, RealClock().now_ns(), 902.5, 0, 1)], RealClock().now_ns())
    async with serving(app_of(town), int(address.split(":")[1])):
        await expect(page.locator(".pill")).to_have_text("Live", timeout=20_000)
        await expect(page.get_by_text("max 902.5")).to_be_visible()
        await page.close()
