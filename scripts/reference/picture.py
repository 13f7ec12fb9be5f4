"""The picture of the page: `python -m scripts.reference.picture [URL]`, with the demo running.

The chart fills within five minutes of the start of `make demo`.
"""

import shutil
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

PICTURE: Final = Path(__file__).parents[2] / "docs" / "page.png"
SIZE: Final = {"width": 1280, "height": 720}
SETTLE_MS: Final = 6_000


def take(url: str) -> None:
    """Write the picture of a meter's chart, with the meters beside it."""
    with sync_playwright() as tools:
        browser = tools.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": SIZE["width"], "height": SIZE["height"]})
        page.goto(f"{url}#/devices/dc-meter-001")
        page.get_by_placeholder("Search name or id").fill("meter")
        page.get_by_text("5 min", exact=True).click()
        page.wait_for_timeout(SETTLE_MS)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    take(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/")
