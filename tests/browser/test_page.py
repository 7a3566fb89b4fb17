"""The live page in headless Chromium, on a running pipeline with a campaign."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import orjson
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESK, TELEPHONE
from tests.browser.pipeline import KIM, LEE, pipeline
from tests.kafka.engine_rig import wait_for

pytestmark = pytest.mark.timeout(600)

SOON = 120_000
HOUR = 3_600_000
AWAY = "net::ERR_"
CARDS = "article.card"
FOCUS = """() => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  const name = one.getAttribute('href') || one.name || one.id || one.textContent.trim().slice(0, 30);
  return [one.tagName, name, style.outlineStyle, box.width > 0 && box.height > 0 && box.bottom > 0];
}"""
STOPS = (
    "a[href], button, input:not([type=hidden]):not([type=radio]), select, textarea, summary, [tabindex='0']"
)
REACHABLE = "(stops) => [...document.querySelectorAll(stops)].filter((one) => one.checkVisibility()).length"


@pytest.fixture(scope="module")
def live(broker, tmp_path_factory):
    """A running pipeline. Each test says up to which hour the launch must be played."""
    prefix = f"page-{time.time_ns():x}-"
    with pipeline(broker, prefix, tmp_path_factory.mktemp("logs")) as made:
        made.start_all()
        yield made


def log_in(window, live, token=KIM, then="/"):
    window.page.goto(live.url + then)
    window.page.get_by_label("Your token").fill(token)
    window.page.keyboard.press("Enter")
    expect(window.page.get_by_role("navigation", name="Pages")).to_be_visible()


def first_incident(window, live):
    live.play(30)
    log_in(window, live)
    window.page.locator(f"{CARDS} h3 a").first.click(timeout=SOON)
    expect(window.page.get_by_role("heading", name="Decision")).to_be_visible()


@pytest.mark.chaos
def test_an_incident_appears_is_decided_and_nothing_is_lost_while_the_page_is_down(
    broker, tmp_path, topic_prefix, tab
):
    with pipeline(broker, topic_prefix, tmp_path) as live:
        live.start_all()
        wall, desk = tab(), tab()
        log_in(wall, live)
        page = wall.page
        expect(page.get_by_role("heading", name="No bucket has been scored yet")).to_be_visible()
        assert wall.violations() == []
        page.evaluate("window.neverReloaded = true")

        # An incident appears without a reload and is announced to screen readers.
        live.play(30)
        expect(page.locator(CARDS).first).to_be_visible(timeout=SOON)
        expect(page.locator("#said")).to_contain_text("New incident", timeout=SOON)
        expect(page.locator("#releases")).to_contain_text("m-2")
        expect(page.locator("#link-word")).to_have_text("live")

        # An operator decides. The broker has the decision before the page confirms it.
        log_in(desk, live)
        desk.page.locator(f"{CARDS} h3 a").first.click()
        name = desk.page.locator(".crumbs bdi").first.inner_text()
        desk.page.get_by_role("radio", name="Benign").check()
        desk.page.get_by_label("Note").fill("their own load test")
        desk.page.get_by_role("button", name="Save decision").click()
        expect(desk.page.locator("#decided")).to_contain_text("Decision saved: benign by kim")
        decided = orjson.loads(live.records("decisions")[-1].value)
        assert (decided["verdict"], decided["by"], decided["note"]) == (
            "benign",
            "kim",
            "their own load test",
        )
        # After the next bucket the incident is suppressed, and the page names who decided.
        live.play(40)
        expect(page.locator("#ended")).to_contain_text(name, timeout=SOON)
        expect(page.locator("#ended")).to_contain_text("benign by kim", timeout=SOON)
        expect(page.locator(CARDS).filter(has_text=name)).to_have_count(0)
        expect(desk.page.locator("#summary")).to_contain_text("Suppressed", timeout=SOON)

        # The worker of the page stops (in `make chaos` it is killed), and the launch continues.
        def has_every_alert_once():
            return int(page.evaluate("document.documentElement.dataset.alerts")) == len(
                live.records("alerts")
            )

        wait_for("every alert once", has_every_alert_once)
        live.end("web")
        expect(page.locator("#link-word")).to_have_text("reconnecting", timeout=SOON)
        live.play(60)
        last = live.released_at + 58 * HOUR
        wait_for("buckets without a page", lambda: live.scored_at() >= last, 120)
        desk.page.goto("about:blank")
        live.start("web")
        live.wait_for_page()
        expect(page.locator("#link-word")).to_have_text("live", timeout=SOON)
        end = datetime.fromtimestamp((live.scored_at() + HOUR) / 1000, UTC)
        expect(page.locator("#figures")).to_contain_text(f"{end.day} {end:%b %H:%M}", timeout=SOON)
        wait_for("every alert once, those from meanwhile as well", has_every_alert_once)
        assert page.evaluate("window.neverReloaded")
        # The browser logs an error of its own when the server does not answer.
        for one in (wall, desk):
            one.context.close()
            assert [text for text in one.complaints if AWAY not in text] == []
            one.complaints.clear()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [DESK, TELEPHONE])
def test_every_page_fits_and_has_no_accessibility_violation(live, tab, dark, size):
    window = tab(dark=dark, size=size)
    window.page.goto(live.url + "/login")
    assert window.violations() == []
    first_incident(window, live)
    incident = window.page.url.removeprefix(live.url)
    for path in ("/", "/incidents?state=all&kind=all", incident, "/runbook", "/sessions", "/login"):
        window.page.goto(live.url + path)
        for details in window.page.locator("details").all():
            details.evaluate("(one) => { one.open = true; }")
        assert window.violations() == [], path
        assert not window.too_wide(), path


def test_the_keyboard_reaches_and_operates_everything(live, tab):
    window = tab()
    first_incident(window, live)
    page, seen = window.page, []
    page.reload()
    for _ in range(200):
        page.keyboard.press("Tab")
        tag, name, outline, shown = page.evaluate(FOCUS)
        if tag == "BODY":
            break
        assert outline != "none", name
        assert shown, name
        seen.append((tag, name))
    assert seen[0] == ("A", "#main")
    # A group of radio buttons is one tab stop.
    assert len(seen) == page.evaluate(REACHABLE, STOPS) + 1
    # Skip to the content, move to the form, choose with the arrow keys, decide.
    page.reload()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(100):
        page.keyboard.press("Tab")
        if "verdict" in page.evaluate(FOCUS)[1]:
            break
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#decided")).to_contain_text("confirmed by kim")
    page.get_by_role("radio", name="Take back").check()
    page.get_by_role("button", name="Save decision").click()
    expect(page.locator("#decided")).to_contain_text("taken back by kim")


def test_updates_keep_focus_open_sections_and_form_input(live, tab):
    window = tab()
    first_incident(window, live)
    page = window.page
    page.locator("#members summary").click()
    page.get_by_label("Note").fill("half a sent")
    page.locator("#updates a").first.focus()
    href = page.evaluate("document.activeElement.getAttribute('href')")
    # The server sends the section again with other content.
    page.evaluate("for (const id of ['evidence', 'updates']) sent.set(id, ''); refresh()")
    wait_for("a refresh", lambda: page.evaluate("sent.get('updates') !== ''"))
    assert page.evaluate("document.activeElement.getAttribute('href')") == href
    assert page.locator("#members").get_attribute("open") is not None
    assert page.get_by_label("Note").input_value() == "half a sent"


def test_a_hidden_page_closes_its_connection_and_catches_up_later(live, tab):
    window = tab()
    first_incident(window, live)
    page = window.page
    page.goto(live.url)
    expect(page.locator("#link-word")).to_have_text("live")
    see = """(state) => {
      Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
      return source === null;
    }"""
    assert page.evaluate(see, "hidden")
    expect(page.locator("#link-word")).to_have_text("paused")
    assert not page.evaluate(see, "visible")
    expect(page.locator("#link-word")).to_have_text("live")


def test_a_viewer_cannot_decide(live, tab):
    live.play(30)
    window = tab()
    log_in(window, live, LEE)
    window.page.locator(f"{CARDS} h3 a").first.click(timeout=SOON)
    expect(window.page.get_by_text("Only operators can decide.")).to_be_visible()
    expect(window.page.get_by_role("radio")).to_have_count(0)
    window.page.get_by_role("button", name="Log out").click()
    expect(window.page.get_by_role("heading", name="Log in")).to_be_visible()


def test_the_page_is_complete_without_scripts(live, tab):
    live.play(30)
    window = tab(java_script_enabled=False)
    log_in(window, live)
    wait_for("an incident", lambda: window.page.reload() and window.page.locator(CARDS).count(), 120)
    expect(window.page.locator(f"{CARDS} svg").first).to_be_visible()
