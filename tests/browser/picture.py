"""Makes the pictures of the page for the README: ``python -m tests.browser.picture``.

It plays a launch with several campaigns into a pipeline of real workers, and saves a light and a dark
screenshot of the page in this folder.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import expect

from infra.kafka.local import broker_address
from tests.browser.conftest import Tab, started
from tests.browser.pipeline import pipeline
from tests.kafka.engine_rig import wait_for

HERE = Path(__file__).parent
SCENARIO, SCALE, HOURS = "mixed", 0.3, 26
SIZE = 1280, 800
SECONDS = 300


def main() -> None:
    """Make both pictures."""
    with (
        tempfile.TemporaryDirectory() as logs,
        broker_address() as broker,
        pipeline(
            broker, "picture-", Path(logs), scenario=SCENARIO, scale=SCALE, web={"open_as": "operator"}
        ) as live,
        started() as browser,
    ):
        live.start_all()
        live.play(HOURS)
        last = (
            live.released_at + (HOURS - 3) * 3_600_000
        )  # wait until all buckets before the last events are scored
        wait_for("the last bucket", lambda: live.scored_at() >= last, SECONDS)
        for name in ("light", "dark"):
            tab = Tab(browser, dark=name == "dark", size=SIZE)
            tab.page.goto(live.url)
            expect(tab.page.locator("#link-word")).to_have_text("live")
            tab.page.screenshot(path=HERE / f"page-{name}.png")


if __name__ == "__main__":
    main()
