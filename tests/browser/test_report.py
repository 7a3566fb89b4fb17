"""The report in headless Chromium: light and dark, wide and narrow, without console errors."""

from __future__ import annotations

import pytest

from pivotwatch.reporting.page import render
from pivotwatch_models.settings import Settings
from tests.browser.conftest import DESK, TELEPHONE
from tests.reporting.examples import HOSTILE, alert, collected

LIGHT, DARK = "rgb(255, 255, 255)", "rgb(20, 24, 29)"


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "report.html"
    hostile = alert(2, entity={"kind": "network", "id": HOSTILE}, members=["a" * 200])
    path.write_text(render(collected(alert(1), hostile), Settings()))
    return path.as_uri()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [DESK, TELEPHONE])
def test_it_fits_in_light_and_dark(tab, page, dark, size):
    window = tab(dark=dark, size=size)
    window.page.goto(page)
    background = window.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == (DARK if dark else LIGHT)
    assert not window.too_wide()
    assert window.asked == [page]
    assert len(window.page.screenshot()) > 20_000


def test_it_prints(tab, page):
    window = tab()
    window.page.goto(page)
    assert window.page.pdf().startswith(b"%PDF")


def test_printing_shows_the_accounts_without_a_click(tab, page):
    window = tab()
    window.page.goto(page)
    visible = "[...document.querySelectorAll('.ids')].map(list => list.checkVisibility())"
    assert not any(window.page.evaluate(visible))
    window.page.emulate_media(media="print")
    assert len(window.page.evaluate(visible)) == 2
    assert all(window.page.evaluate(visible))
