"""Every format, page and report shows hostile names harmlessly; a new format fails until it is listed."""

from __future__ import annotations

import contextlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import apprise
import orjson
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

import pivotwatch.formats
from pivotwatch.base.outside_text import chat_text
from pivotwatch.contracts.alerts import Alert, parse_alert
from pivotwatch.contracts.codec import encode
from pivotwatch.formats import alertmanager, chat, cloudevents, ocsf, pagerduty, slack, stix, text, webhook
from pivotwatch.reporting import page as report
from pivotwatch.web.pages import templates
from pivotwatch_models.settings import Settings
from tests.base.hostile import HOSTILE, LIVE, hidden_in
from tests.formats.examples import BASE, STATES, alert, raw
from tests.reporting.examples import alert as alert_output
from tests.reporting.examples import collected

PARTS = ("readable", "summary", "message")
"""Modules that the renderers share."""
NOW = datetime(2026, 2, 6, tzinfo=UTC)
CHANGES: dict[str, Any] = {
    "entity": {"kind": HOSTILE, "id": HOSTILE},
    "groups": [{"kind": HOSTILE, "id": HOSTILE}, {"kind": "network", "id": "AS64500"}],
    "model": HOSTILE,
    "members": [HOSTILE, "acct-2"],
    "transition": HOSTILE,
    "reasons": [
        HOSTILE,
        f"Next step: {HOSTILE}",
        f"Details: {HOSTILE}",
        f"Counter-evidence: {HOSTILE}",
        HOSTILE,
    ],
    "dedup_key": "k\u202e\x1b",
    "urls": {"page": f"https://x/{HOSTILE}", "runbook": "https://x|<!channel>"},
}

Render = Callable[[Alert, bytes], Any]
EXITS: dict[str, Render] = {
    "alertmanager": lambda alert, _: [
        alertmanager.firing(alert, BASE),
        alertmanager.resolved(alert, NOW),
    ],
    "chat": lambda alert, _: chat.render(alert, BASE)._asdict(),
    "pagerduty": lambda alert, _: pagerduty.render(alert, "key", BASE),
    "slack": lambda alert, _: slack.render(alert, BASE),
    "ocsf": lambda alert, _: ocsf.render(alert, BASE),
    "stix": lambda alert, _: orjson.loads(stix.render(alert, with_accounts=True).serialize()),
    "text": lambda alert, _: text.render(alert).plain.split("\n") + text.headline(alert).plain.split("\n"),
    "cloudevents": lambda alert, raw: cloudevents.render(alert, raw).body.decode(),
    "webhook": lambda alert, raw: webhook.render(alert, raw, ["whsec_c2VjcmV0LW9mLXRlc3Rz"], 1).body.decode(),
}
CHATS = ("alertmanager", "chat", "pagerduty", "slack")
"""Formats whose texts reach a chat; the others go to terminals and to programs that need exact names."""


def strings(value: Any) -> Iterator[str]:
    """Every text in a document, names of fields included."""
    if isinstance(value, str):
        yield from value.split("\n")
    elif isinstance(value, dict):
        yield from (text for pair in value.items() for part in pair for text in strings(part))
    elif isinstance(value, list | tuple):
        yield from (text for part in value for text in strings(part))


def test_every_format_is_in_the_list() -> None:
    found = {module.name for module in pkgutil.iter_modules(pivotwatch.formats.__path__)}
    assert found == {*EXITS, *PARTS}


@pytest.mark.parametrize("name", EXITS)
@pytest.mark.parametrize("state", STATES)
def test_no_format_lets_a_hidden_character_or_a_mention_out(name: str, state: str) -> None:
    sent = EXITS[name](alert(state, **CHANGES), raw(state, **CHANGES))
    shown = list(strings(sent))
    assert shown
    assert [text for text in shown if hidden_in(text)] == []
    if name in CHATS:
        live = [one for one in LIVE if one[0] not in "&!" or name != "slack"]
        assert [(one, text) for text in shown for one in live if one in text] == []
        assert [text for text in shown if "evil.example" in text] == []


SERVICES = {
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7",
    "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js/",
    "mattermost": "mmost://chat.example/3ccdd113474722377935511fc85d3dd4",
    "teams": "workflow://host.example/0123456789abcdef0123456789abcdef/signature",
    "telegram": "tgram://123456789:abcdefg_hijklmnop/12315544/",
}


@contextlib.contextmanager
def service(name: str) -> Iterator[tuple[apprise.Apprise, list[str]]]:
    """A chat service of the library, and what it sends, in place of the network."""
    sent: list[str] = []

    def send(_: Any, request: Any, **__: Any) -> requests.Response:
        sent.append(request.body.decode() if isinstance(request.body, bytes) else request.body)
        answer = requests.Response()
        answer.status_code, answer._content = 200, b"ok"
        return answer

    made = apprise.Apprise()
    assert made.add(SERVICES[name])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(requests.Session, "send", send)
        yield made, sent


BACK_AGAIN = re.compile(r"<[!@#]|&lt;[!@#]|@(everyone|here|channel|all|kim)|://evil|evil\.example")


@pytest.mark.parametrize("name", SERVICES)
def test_a_chat_library_makes_nothing_live_again(name: str) -> None:
    with service(name) as (made, sent):
        made.notify(**chat.render(alert(**CHANGES), BASE)._asdict())
    assert sent
    for body in sent:
        document = orjson.loads(body)
        assert [shown for shown in strings(document) if BACK_AGAIN.search(shown)] == []
        assert not document.get("allow_mentions", {}).get("parse")


@settings(max_examples=30, deadline=None)
@given(st.text("@!<>|&;#:/[]()*_`~\\xu1e\x1b\u202e achnel.,0", max_size=80))
def test_no_name_keeps_a_chat_library_from_delivering(text: str) -> None:
    for name in SERVICES:
        with service(name) as (made, sent):
            made.notify(title=chat_text(text) or "-", body=f"{chat_text(text)} >99 % <0.01")
        assert sent, name
        assert [one for one in strings(orjson.loads(sent[0])) if re.search(r"<[!@#]|&lt;[!@#]", one)] == []


def test_bytes_that_the_pipeline_writes_have_no_hidden_character_and_the_same_value() -> None:
    hostile = alert(**CHANGES)
    written = encode(hostile)
    assert hidden_in(written.decode()) == []
    assert parse_alert(written) == hostile
    assert orjson.loads(cloudevents.render(hostile, raw(**CHANGES)).body) == orjson.loads(raw(**CHANGES))


def test_the_report_shows_hostile_names_harmlessly() -> None:
    gathered = collected(
        alert_output(1, **CHANGES),
        alert_output(2, **(CHANGES | {"entity": {"kind": "account", "id": HOSTILE}})),
    )
    html = report.render(gathered, Settings())
    assert [line for line in html.split("\n") if hidden_in(line)] == []
    assert "<script>" not in html
    assert r"\u202e" in html


def test_every_template_of_the_page_makes_text_visible() -> None:
    made = templates()
    shown = made.from_string("{{ name }}|{{ name | lines }}").render(name="<b>\u202e\nx")
    assert shown == "&lt;b&gt;\\u202e\\nx|&lt;b&gt;\\u202e\nx"
    for name in made.list_templates(extensions=["html"]):
        assert made.get_template(name).environment.finalize is report.shown
