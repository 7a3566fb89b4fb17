"""Fixtures: headless Chromium, and tabs that record errors of a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DESK, TELEPHONE = (1280, 800), (390, 844)


@contextmanager
def started() -> Iterator[Browser]:
    """Start the Chromium of the system."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for the tests of a module. Tests are skipped without Chromium, but not in CI."""
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("chromium is not installed")
    with started() as browser:
        yield browser


class Tab:
    """A page in its own window. It records errors and requested addresses.

    Attributes
    ----------
    complaints
        Console messages of level warning or error, and uncaught exceptions.
    asked
        Every address that the page requested.
    """

    def __init__(
        self, browser: Browser, *, dark: bool = False, size: tuple[int, int] = DESK, **how: Any
    ) -> None:
        viewport = {"width": size[0], "height": size[1]}
        scheme: Any = "dark" if dark else "light"
        self.context = browser.new_context(
            viewport=viewport,
            color_scheme=scheme,
            **how,  # type: ignore[arg-type]
        )
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.context.on("request", lambda request: self.asked.append(request.url))

    def _said(self, message: Any) -> None:
        if message.type in ("warning", "error"):
            self.complaints.append(message.text)

    def violations(self) -> list[str]:
        """Accessibility violations that axe finds on the current page, with their places."""
        response = Axe().run(self.page).response
        return [
            f"{one['id']}: {one['help']}: " + "; ".join(str(node["target"]) for node in one["nodes"])
            for one in response["violations"]
        ]

    def too_wide(self) -> bool:
        """Whether the page is wider than the window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Any]:
    """Opens tabs. At the end, no tab may have recorded an error or requested another host."""
    tabs: list[Tab] = []

    def open_tab(**how: Any) -> Tab:
        tabs.append(Tab(chromium, **how))
        return tabs[-1]

    yield open_tab
    for one in tabs:
        one.context.close()
        assert one.complaints == []
        assert [url for url in one.asked if not url.startswith(("http://127.0.0.1:", "file:", "data:"))] == []
