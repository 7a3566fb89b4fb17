"""Log-in through an identity provider with a real browser; the provider is another site for it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESK, TELEPHONE, Tab
from tests.browser.pipeline import PEOPLE, free_port, pipeline
from tests.web.provider_rig import CALLBACK, provider

SOON = 20_000
ELSEWHERE = re.compile(r"https?://(?!127\.0\.0\.1|localhost)")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # The provider's, not ours.


@pytest.fixture
def site(broker, tmp_path, topic_prefix):
    """The page with a provider. Browsers take localhost and 127.0.0.1 for two sites."""
    port, secret = free_port(), tmp_path / "secret"
    secret.write_text("secret-of-the-client-0123456789")
    with provider() as running:
        oidc = running.table(
            client_secret_file=str(secret),
            issuer=running.url.replace("127.0.0.1", "localhost"),
            redirect_uri=f"http://127.0.0.1:{port}{CALLBACK}",
        )
        web = {"people": PEOPLE, "oidc": oidc}
        with pipeline(broker, topic_prefix, tmp_path, web_ports={"web": port}, web=web) as live:
            live.start("web")
            live.wait_for_page()
            yield live


def log_in(window, live, sub):
    window.page.goto(live.url + "/incidents?state=all")
    window.page.get_by_role("link", name="Log in with your organisation").click()
    expect(window.page.get_by_role("heading", name="Authorize Client")).to_be_visible(timeout=SOON)
    window.page.get_by_role("button", name=sub, exact=True).first.click()


@pytest.mark.parametrize("dark", [False, True])
def test_people_log_in_through_the_provider_and_sign_out_everywhere(site, chromium, dark):
    windows = [Tab(chromium, dark=dark, size=size) for size in (DESK, TELEPHONE)]
    for window in windows:
        # The provider's page asks for a style sheet of the internet.
        window.context.route(ELSEWHERE, lambda route: route.fulfill(body=""))
        window.page.goto(site.url + "/login")
        assert window.violations() == []
        assert not window.too_wide()
        log_in(window, site, "kim")
        expect(window.page.get_by_role("heading", name="Incidents", exact=True)).to_be_visible(timeout=SOON)
        assert window.page.url == site.url + "/incidents?state=all"
        expect(window.page.locator(".who")).to_contain_text("kim@example.com operator")
    here, telephone = windows
    telephone.page.get_by_role("link", name="kim@example.com").click()
    expect(telephone.page.get_by_text("the identity provider")).to_have_count(2)
    assert telephone.violations() == []
    assert not telephone.too_wide()
    telephone.page.get_by_role("button", name="Sign out everywhere").click()
    expect(telephone.page.get_by_role("heading", name="Log in", exact=True)).to_be_visible()
    here.page.reload()
    expect(here.page.get_by_role("heading", name="Log in", exact=True)).to_be_visible()
    log_in(here, site, "mia")
    expect(here.page.get_by_role("alert")).to_contain_text(
        "mia@example.com has no role here: ask the security team"
    )
    assert here.violations() == []
    for window in windows:
        window.context.close()
        assert [one for one in window.complaints if "403" not in one] == []
