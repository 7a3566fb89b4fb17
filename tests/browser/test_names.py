"""Long or strange names in records neither break the layout of the page nor run as code."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.browser.conftest import DESK, TELEPHONE
from tests.web.site import site

STRANGE = {"kind": "network", "id": "AS" + "9" * 300}
MARKUP = "<script>alert(1)</script>" * 10
PATHS = ("/", "/incidents?state=all&kind=all", f"/incidents/{2:016x}")


@pytest.fixture
def address():
    """Serve a page without Kafka, with one incident with ordinary names and one with strange names."""
    found, over = threading.Event(), threading.Event()
    told = []

    async def serve():
        async with site(open_as="operator") as made:
            made.put_status(5)
            made.put_alert(1, entity={"kind": "network", "id": "AS64500"}, model="m-2")
            made.put_alert(2, entity=STRANGE, model=MARKUP, members=["\u202e" + "x" * 500], reasons=[MARKUP])
            told.append(f"http://127.0.0.1:{made.client.server.port}")
            found.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert found.wait(30)
    yield told[0]
    over.set()
    thread.join()


@pytest.mark.parametrize("size", [DESK, TELEPHONE])
def test_strange_names_neither_break_the_layout_nor_run(address, tab, size):
    window = tab(size=size)
    for path in PATHS:
        window.page.goto(address + path)
        assert window.violations() == [], path
        assert not window.too_wide(), path
        assert window.page.locator("main script").count() == 0
