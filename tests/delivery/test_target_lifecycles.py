"""What each kind of target receives over the life of an incident: opened, updated, resolved, opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.delivery.http_rig import deliver, webhook
from tests.delivery.receiver import Receiver, receiver
from tests.formats.examples import raw
from tests.formats.ocsf_check import faults

STEPS: tuple[tuple[str, str, str, int], ...] = (
    ("open", "opened", "medium", 10),
    ("updated", "evidence-grew", "medium", 12),
    ("updated", "members-doubled", "medium", 20),
    ("updated", "severity-rose", "critical", 21),
    ("resolved", "quiet", "critical", 21),
    ("updated", "reopened", "critical", 22),
    ("suppressed", "benign", "critical", 22),
)
"""State, transition, severity, members."""

RECORDS = [
    raw(state, revision=revision, transition=transition, severity=severity, members_total=members)
    for revision, (state, transition, severity, members) in enumerate(STEPS, start=1)
]
FOR_PEOPLE = [0, 2, 3, 4, 5, 6]
"""All transitions except growth of the evidence."""


def test_webhook(hook: Receiver) -> None:
    deliver(RECORDS, webhook(hook))
    assert hook.bodies() == [orjson.loads(record) for record in RECORDS]
    kinds = [body["type"].removeprefix("io.pivotwatch.alert.") for body in hook.bodies()]
    assert kinds == ["opened", "updated", "updated", "updated", "resolved", "updated", "suppressed"]


def test_pagerduty(hook: Receiver) -> None:
    deliver(RECORDS, {"name": "pager", "kind": "pagerduty", "url": hook.url, "secret_env": "PAGER_SECRET"})
    acts = [(body["event_action"], body.get("payload", {}).get("severity")) for body in hook.bodies()]
    assert acts == [
        ("trigger", "warning"),
        ("trigger", "warning"),
        ("trigger", "critical"),
        ("resolve", None),
        ("trigger", "critical"),
        ("resolve", None),
    ]
    assert {body["dedup_key"] for body in hook.bodies()} == {"pivotwatch/0123456789abcdef"}


def test_slack(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_SECRET", hook.url)
    deliver(RECORDS, {"name": "chat", "kind": "slack", "secret_env": "CHAT_SECRET", "interval": "1ms"})
    headers = [body["blocks"][0]["text"]["text"].partition(": ") for body in hook.bodies()]
    assert [state for state, _, _ in headers] == [
        "🟡 Medium",
        "🟡 Medium, update",
        "🚨 Critical, update",
        "✅ Critical, resolved",
        "🚨 Critical, opened again",
        "🔕 Critical, suppressed",
    ]
    assert all(title.endswith(" accounts on AS64500 switched to m-2 together") for _, _, title in headers)
    assert [body["blocks"][-1]["elements"][0]["text"].split(" · ")[-1] for body in hook.bodies()] == [
        f"0123456789abcdef.{index + 1}" for index in FOR_PEOPLE
    ]


def test_apprise(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRISE_SECRET", hook.url.replace("http://", "json://"))
    deliver(RECORDS, {"name": "chat", "kind": "apprise", "secret_env": "APPRISE_SECRET"})
    notes = [(body["type"], body["title"].split(":")[0]) for body in hook.bodies()]
    assert notes == [
        ("warning", "Medium"),
        ("warning", "Medium, update"),
        ("failure", "Critical, update"),
        ("success", "Critical, resolved"),
        ("failure", "Critical, opened again"),
        ("success", "Critical, suppressed"),
    ]


def test_files(tmp_path: Path) -> None:
    events, findings = tmp_path / "events.jsonl", tmp_path / "findings.jsonl"
    deliver(
        RECORDS,
        {"name": "events", "kind": "cloudevents", "file": str(events)},
        {"name": "findings", "kind": "ocsf", "file": str(findings)},
    )
    assert events.read_bytes().splitlines() == RECORDS
    found = [orjson.loads(line) for line in findings.read_bytes().splitlines()]
    assert all(faults(one) == [] for one in found)
    assert [(one["activity_id"], one["status"]) for one in found] == [
        (1, "New"),
        *[(2, "In Progress")] * 3,
        (3, "Resolved"),
        (2, "In Progress"),
        (3, "Suppressed"),
    ]
    assert [one["metadata"]["sequence"] for one in found] == list(range(1, len(STEPS) + 1))


def test_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    deliver(RECORDS, {"name": "out", "kind": "stdout"})
    heads = [
        line.split("[")[1].split(" · ")[0] for line in capsys.readouterr().out.splitlines() if "[" in line
    ]
    assert heads == [
        "new",
        "update: evidence grew",
        "update: members doubled",
        "update: severity rose",
        "resolved: quiet",
        "update: reopened",
        "suppressed: benign",
    ]


def test_an_incident_that_passes_the_filter_late_is_new_to_the_target(
    hook: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The filter lets the incident pass after its severity has risen; the target did not get it before."""
    findings = tmp_path / "findings.jsonl"
    with receiver() as pager:
        filtered: dict[str, Any] = {"min_severity": "high"}
        deliver(
            RECORDS,
            {"name": "findings", "kind": "ocsf", "file": str(findings), **filtered},
            {
                "name": "pager",
                "kind": "pagerduty",
                "url": pager.url,
                "secret_env": "PAGER_SECRET",
                **filtered,
            },
        )
        assert [body["event_action"] for body in pager.bodies()] == [
            "trigger",
            "resolve",
            "trigger",
            "resolve",
        ]
    found = [orjson.loads(line) for line in findings.read_bytes().splitlines()]
    assert [one["activity_id"] for one in found] == [1, 3, 2, 3]
