"""A page of ours in a real Chromium, for tests: what it says, where it asks, what it holds.

    with chromium() as browser:
        shown = open_page(browser, file)
        shown.page.locator("h1").inner_text();  shown.errors, shown.requests  ->  [], []

One browser serves a module; each page has a context of its own.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@dataclass
class Shown:
    page: Any  # playwright's
    errors: list[str] = field(default_factory=list)  # of the console, and exceptions
    requests: list[str] = field(default_factory=list)  # of anything but the file itself


@contextmanager
def chromium() -> Iterator[Any]:
    """Skips the test, with the reason, where there is no browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium on this machine; scripts/test.sh installs one")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_page(browser: Any, file: Path, **context: Any) -> Shown:
    """context: playwright's, such as viewport or color_scheme."""
    page = browser.new_context(**{"viewport": DESKTOP, **context}).new_page()
    shown = Shown(page)
    page.on("console", lambda told: told.type == "error" and shown.errors.append(told.text))
    page.on("pageerror", lambda error: shown.errors.append(str(error)))
    page.on("request", lambda asked: shown.requests.append(asked.url))
    page.goto(file.as_uri())
    page.wait_for_function("document.readyState === 'complete'")
    shown.requests = [url for url in shown.requests if url != file.as_uri()]
    return shown
