"""What a newcomer sees: the demo, whole, in the page and in curl.

Nothing here is in memory: simulated devices over MQTT, the log, the ledger, the API, Chromium.
"""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.servers.installed import program
from tests.whole.stack import Stack, running
from tests.whole.test_page import FLAGS

FAMILIES = {"f2": "f2-e4fd45f654be", "meter": "dc-meter-001", "sensors": "temp-server-1"}
PATIENCE_MS = 20_000


def families(stack: Stack) -> set[str]:
    """Return the families of the devices that have been seen."""
    devices: list[dict[str, Any]] = stack.get("/api/devices?limit=1000")["devices"]
    return {device["family"] for device in devices if device["last_seen"] is not None}


def see(page: Page, device_id: str) -> None:
    """Find a device in the fleet, open it, and wait for a value and a chart."""
    page.get_by_role("searchbox").fill(device_id)
    row = page.get_by_role("row").filter(has_text=device_id).first
    expect(row).to_contain_text("online", timeout=PATIENCE_MS)
    row.click()
    expect(page.locator("canvas").first).to_be_visible(timeout=PATIENCE_MS)
    page.go_back()


@pytest.mark.browser
@pytest.mark.slow
def test_the_demo_shows_all_three_families(tmp_path: Path) -> None:
    chromium = program("chromium")
    with running(tmp_path / "data", "--demo") as stack, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{stack.http}/")
        expect(page.get_by_role("row").nth(3)).to_be_visible(timeout=PATIENCE_MS)
        page.wait_for_timeout(6_000)
        for device_id in FAMILIES.values():
            see(page, device_id)
        assert families(stack) >= set(FAMILIES)
        browser.close()
        books = stack.books()
    assert books["difference"] == 0
    assert {row["family"] for row in books["families"]} >= set(FAMILIES)
