"""A headless Chromium, the machine's own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SIZE = {"width": 1400, "height": 900}
MISSING = "expected Chromium, found none: `make browser` installs it"


def find_browser() -> str | None:
    """Path of Chromium, if the machine has it."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def open_browser() -> Iterator[Page]:
    """A page of a fresh browser, which is closed at the end of the block."""
    path = find_browser()
    assert path is not None, MISSING
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser.new_page(viewport=SIZE)
        finally:
            browser.close()
