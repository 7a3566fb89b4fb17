"""Every renderer is checked against the public schema of its target."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError
from stix2validator import ValidationOptions, validate_string  # type: ignore[import-untyped]

from pivotwatch.base.errors import WrongUse
from pivotwatch.formats import alertmanager, chat, cloudevents, ocsf, pagerduty, slack, stix, text, webhook
from tests.formats.examples import BASE, STATES, alert, check_golden, raw
from tests.formats.ocsf_check import faults

SECRET, OLD_SECRET = "whsec_c2VjcmV0LW9mLXRlc3RzLTE=", "whsec_c2VjcmV0LW9mLXRlc3RzLTI="
STRANGE = st.text(min_size=1, max_size=3000)
NAMES = st.text(min_size=1, max_size=512)


@pytest.mark.parametrize("state", STATES)
def test_cloudevents_are_the_stored_records_and_the_sdk_reads_them(state: str) -> None:
    message = cloudevents.render(alert(state), raw(state))
    event: Any = from_http_event(HTTPMessage(headers=dict(message.headers), body=message.body))
    assert (event.get_specversion(), event.get_id()) == ("1.0", f"0123456789abcdef.{STATES.index(state) + 1}")
    assert event.get_type() == alert(state).type
    assert event.get_data() == orjson.loads(raw(state))["data"]
    assert message.body == raw(state)
    assert message.key == "0123456789abcdef"


@pytest.mark.parametrize("state", STATES)
def test_ocsf_is_a_detection_finding(state: str) -> None:
    finding = ocsf.render(alert(state), BASE)
    assert faults(finding) == []
    check_golden(f"ocsf-{state}", finding)


def test_ocsf_lifecycle() -> None:
    found = [ocsf.render(alert(state)) for state in STATES]
    assert [one["type_uid"] for one in found] == [200401, 200402, 200403, 200403]
    assert [one["status"] for one in found] == ["New", "In Progress", "Resolved", "Suppressed"]
    assert {one["finding_info"]["uid"] for one in found} == {"0123456789abcdef"}
    assert len({one["metadata"]["uid"] for one in found}) == len(found)


def test_ocsf_of_reopened_incidents_and_of_incidents_new_to_the_receiver() -> None:
    again = ocsf.render(alert("updated", revision=4, transition="reopened"))
    assert faults(again) == []
    assert (again["activity_name"], again["status"], again["status_detail"]) == (
        "Update",
        "In Progress",
        "reopened",
    )
    assert "end_time" not in again
    new = ocsf.render(alert("updated"), new=True)
    assert faults(new) == []
    assert (new["type_uid"], new["status"]) == (200401, "New")


def test_ocsf_of_an_alert_without_optional_fields() -> None:
    finding = ocsf.render(
        alert(evidence={}, members=[], groups=[], urls={}, entity={"kind": "account", "id": "a"})
    )
    assert faults(finding) == []
    assert finding["anomaly_analyses"] == []
    assert finding["observables"] == [
        {"name": "data.account", "type_id": 35, "type": "Account Object: uid", "value": "a"}
    ]


def test_the_ocsf_check_finds_violations() -> None:
    finding = copy.deepcopy(ocsf.render(alert()))
    del finding["time"]
    finding["severity_id"] = 42
    finding["colour"] = "red"
    finding["finding_info"]["analytic"]["type_id"] = "4"
    assert {fault.split(":")[0] for fault in faults(finding)} == {
        "time",
        "severity_id",
        "colour",
        "finding_info.analytic.type_id",
    }


@pytest.mark.parametrize("state", STATES)
def test_pagerduty_triggers_and_resolves_one_key(state: str) -> None:
    event = pagerduty.render(alert(state), "routing-key", BASE)
    assert event["event_action"] == ("resolve" if state in ("resolved", "suppressed") else "trigger")
    assert event["dedup_key"] == "pivotwatch/0123456789abcdef"
    check_golden(f"pagerduty-{state}", event)


@given(NAMES, STRANGE, st.sampled_from(["info", "low", "medium", "high", "critical"]))
def test_pagerduty_keeps_its_limits(name: str, reason: str, severity: str) -> None:
    event = pagerduty.render(
        alert(
            entity={"kind": "network", "id": name},
            model=name,
            severity=severity,
            reasons=[reason] * 99,
        ),
        "routing-key",
    )
    payload = event["payload"]
    assert 1 <= len(payload["summary"]) <= 1024
    assert payload["severity"] in ("critical", "error", "warning", "info")
    assert len(event["dedup_key"]) <= 255
    assert payload["source"]
    assert len(orjson.dumps(event)) < 512 * 1024


@pytest.mark.parametrize("state", STATES)
def test_alertmanager_examples(state: str) -> None:
    now = datetime(2026, 2, 6, 2, tzinfo=UTC)
    closed = state in ("resolved", "suppressed")
    body = alertmanager.resolved(alert(state), now) if closed else alertmanager.firing(alert(state), BASE)
    assert ("endsAt" in body) == closed
    check_golden(f"alertmanager-{state}", body)


def test_alertmanager_labels_are_stable_except_the_severity() -> None:
    news = {"members_total": 999, "exchanges_to_model": 5, "reasons": ["x"], "onset": "2026-02-05T19:00:00Z"}
    assert alertmanager.labels(alert("open")) == alertmanager.labels(alert("updated", **news))
    before, after = alertmanager.labels(alert()), alertmanager.labels(alert(severity="low"))
    assert {name for name in before if before[name] != after[name]} == {"severity"}


@given(NAMES)
def test_alertmanager_accepts_any_names(name: str) -> None:
    body = alertmanager.firing(alert(entity={"kind": "network", "id": name}, model=name))
    for label, value in body["labels"].items():
        assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", label)
        assert isinstance(value, str)
    assert all(isinstance(value, str) for value in body["annotations"].values())


@pytest.mark.parametrize("state", STATES)
def test_slack_examples(state: str) -> None:
    check_golden(f"slack-{state}", slack.render(alert(state), BASE))


def test_chats_say_that_an_incident_opened_again() -> None:
    again = alert("updated", transition="reopened")
    assert "Critical, opened again: 412 accounts" in slack.render(again)["blocks"][0]["text"]["text"]
    assert chat.render(again).title.startswith("Critical, opened again: 412 accounts")
    assert pagerduty.render(again, "key")["event_action"] == "trigger"


FIGURES = st.sampled_from(
    (
        *("switches_seen", "switches_expected", "first_uses_seen", "first_uses_expected"),
        *("observed_share", "population_share", "synchrony", "population_synchrony"),
        *("hazard_ratio", "log_e_value", "threshold", "theta"),
    )
)


@given(st.dictionaries(FIGURES, st.none() | st.just(1)))
def test_renderers_work_without_optional_figures(evidence: dict[str, Any]) -> None:
    for state in STATES:
        bare = alert(state, evidence=evidence)
        text.plain(bare)
        for render in (slack.render, chat.render, alertmanager.firing):
            render(bare, BASE)
        pagerduty.render(bare, "key", BASE)
        assert faults(ocsf.render(bare, BASE)) == []


@given(st.lists(STRANGE, max_size=120), NAMES)
def test_slack_keeps_its_limits_and_never_mentions_anyone(reasons: list[str], name: str) -> None:
    message = slack.render(alert(reasons=[*reasons, "<!channel> & <@U1>"], model=name), BASE)
    blocks = message["blocks"]
    assert len(blocks) <= 50
    assert len(blocks[0]["text"]["text"]) <= 150
    assert len(message["text"]) <= 3000
    texts = [block["text"]["text"] for block in blocks[1:-1] if "text" in block]
    assert all(1 <= len(text) <= 3000 for text in texts)
    assert all(len(field["text"]) <= 2000 for field in blocks[1]["fields"])
    assert "<!" not in "".join(texts)
    assert blocks[-1]["type"] == "context"


@pytest.mark.parametrize("state", STATES)
def test_the_reference_library_verifies_the_webhook(state: str) -> None:
    now = int(datetime.now(UTC).timestamp())
    message = webhook.render(alert(state), raw(state), [SECRET, OLD_SECRET], now)
    for secret in (SECRET, OLD_SECRET):
        assert Webhook(secret).verify(message.body, dict(message.headers)) == orjson.loads(raw(state))
    assert message.headers["webhook-id"] == alert(state).id
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(message.body.replace(b"m-2", b"m-3"), dict(message.headers))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("with_accounts", [False, True])
def test_stix_is_valid_and_lists_accounts_only_on_request(state: str, with_accounts: bool) -> None:
    bundle = stix.render(alert(state), with_accounts=with_accounts).serialize()
    found = validate_string(bundle, ValidationOptions(version="2.1"))
    assert found.is_valid, found.errors
    assert ("acct-00001" in bundle) == with_accounts
    # A payment key must not be shared.
    assert "pay-77" not in bundle
    marked = [
        thing for thing in orjson.loads(bundle)["objects"] if thing["type"] in ("grouping", "observed-data")
    ]
    assert len(marked) == 2
    amber = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"
    assert all(thing["object_marking_refs"] == [amber] for thing in marked)


def test_stix_is_reproducible_and_needs_something_to_share() -> None:
    first, second = (orjson.loads(stix.render(alert()).serialize()) for _ in range(2))
    assert first["objects"] == second["objects"]
    with pytest.raises(WrongUse, match="names no network"):
        stix.render(alert(entity={"kind": "account", "id": "a-1"}, groups=[]))


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("AS64500", "autonomous-system", 64500),
        ("203.0.113.0/24", "ipv4-addr", "203.0.113.0/24"),
        ("2001:db8::/48", "ipv6-addr", "2001:db8::/48"),
    ],
)
def test_stix_knows_networks(name: str, kind: str, value: Any) -> None:
    bundle = orjson.loads(stix.render(alert(entity={"kind": "network", "id": name}, groups=[])).serialize())
    assert [
        thing.get("number", thing.get("value")) for thing in bundle["objects"] if thing["type"] == kind
    ] == [value]


@pytest.mark.parametrize(
    ("state", "kind"), [("open", "failure"), ("updated", "failure"), ("resolved", "success")]
)
def test_chat_notes(state: str, kind: str) -> None:
    note = chat.render(alert(state), BASE)
    assert note.notify_type == kind
    assert note.title.startswith("Critical")
    assert note.title.endswith(": 412 accounts on AS64500 switched to m-2 together")
    assert f"{BASE}/incidents/0123456789abcdef" in note.body
