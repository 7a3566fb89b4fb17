"""The report in headless Chromium: light and dark, on a desk and a telephone, without a word of complaint."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from models.settings import Settings
from streams.report.page import render
from tests.report.examples import HOSTILE, alert, collected

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
]
PROBE = """<script>document.documentElement.dataset.probe = [
getComputedStyle(document.body).backgroundColor, document.documentElement.scrollWidth, innerWidth,
performance.getEntriesByType("resource").length].join("|")</script></body>"""
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(20, 24, 29)"


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "report.html"
    hostile = alert(2, entity={"kind": "network", "id": HOSTILE}, members=["a" * 200])
    path.write_text(render(collected(alert(1), hostile), Settings()))
    return path


def chromium(tmp_path, page, *args):
    if not CHROMIUM and not os.environ.get("CI"):
        pytest.skip("chromium is not installed")
    command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *args, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def colours(dark):
    return ["--blink-settings=preferredColorScheme=0"] if dark else []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1200, 520])
def test_it_is_laid_out_in_light_and_dark(tmp_path, page, dark, width):
    probed = tmp_path / "probed.html"
    text = re.sub(r"<meta http-equiv=[^>]*>", "", page.read_text())
    probed.write_text(text.replace("</body>", PROBE))
    found = chromium(tmp_path, probed, *colours(dark), f"--window-size={width},900", "--dump-dom")
    background, wide, inner, requests = re.search(r'data-probe="([^"]*)"', found.stdout)[1].split("|")
    assert background == (DARK if dark else LIGHT)
    assert int(wide) <= int(inner)
    assert int(requests) == 0


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_drawn_without_complaint(tmp_path, page, dark):
    shot = tmp_path / "shot.png"
    found = chromium(tmp_path, page, *colours(dark), "--window-size=1000,2000", f"--screenshot={shot}")
    assert shot.stat().st_size > 50_000
    assert "CONSOLE" not in found.stderr


def test_it_prints(tmp_path, page):
    pdf = tmp_path / "report.pdf"
    chromium(tmp_path, page, f"--print-to-pdf={pdf}")
    assert pdf.read_bytes().startswith(b"%PDF")
