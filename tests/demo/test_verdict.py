"""The result that the demo prints: found or not, and how late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

from rich.console import Console

from pivotwatch.contracts.alerts import Alert, parse_alert
from pivotwatch.demo.display import Display, summary
from pivotwatch.demo.verdict import compare_with_truth
from tests.contracts.examples import alert_bytes

TRUTH: dict[str, Any] = {
    "campaigns": [
        {
            "id": "demo",
            "model": "m-2",
            "onset": "2026-02-05T17:30:00Z",
            "entities": [["network", "AS64500"], ["network", "AS64501"]],
            "related": [["payment", "pay-1"]],
            "members": ["a-1", "a-2", "a-3", "a-4"],
        }
    ],
    "rollouts": [{"kind": "network", "id": "AS64900"}],
}


def alert(kind: str, name: str, number: int = 1, **changes: Any) -> Alert:
    own = {"alert_id": f"{number:016x}", "entity": {"kind": kind, "id": name}, "groups": []}
    return parse_alert(alert_bytes(**{**own, "members_total": 3, "members": ["a-1", "a-2", "x"], **changes}))


def test_found_with_its_delay_and_its_accounts() -> None:
    verdict = compare_with_truth([alert("network", "AS64500")], TRUTH)
    assert verdict.found
    assert verdict.delay == timedelta(hours=7, minutes=30)
    assert (verdict.found_entities, verdict.entities) == (1, 2)
    assert (verdict.precision, verdict.recall) == (2 / 3, 0.5)
    assert (verdict.false_alerts, verdict.rollout_alerts) == (0, 0)


def test_a_related_group_or_a_merged_one_finds_it_too() -> None:
    assert compare_with_truth([alert("payment", "pay-1")], TRUTH).found
    merged = alert("signup", "s", groups=[{"kind": "network", "id": "AS64501"}])
    assert compare_with_truth([merged], TRUTH).found_entities == 1


def test_other_alerts_do_not_count_as_found() -> None:
    early = {"detected_at": "2026-02-05T17:00:00Z", "onset": "2026-02-05T16:00:00Z"}
    verdict = compare_with_truth(
        [
            alert("network", "AS64500", 1, **early),
            alert("network", "AS64500", 2, model="m-1"),
            alert("network", "AS64777", 3),
            alert("network", "AS64777", 3, revision=3),
            alert("network", "AS64900", 4),
            alert("account", "a-1", 5, severity="info"),
            alert("account", "x", 6, severity="info"),
        ],
        TRUTH,
    )
    assert not verdict.found
    assert (verdict.false_alerts, verdict.rollout_alerts) == (3, 1)
    assert (verdict.findings, verdict.findings_right) == (2, 1)


def shown(alerts: list[Alert]) -> tuple[str, str]:
    """Standard output and standard error of the display of a run, on a pipe."""
    out, err = StringIO(), StringIO()
    display = Display(datetime(2026, 2, 5, 17, tzinfo=UTC), Console(file=out))
    display.progress = Console(file=err)
    with display.running():
        for hour in range(16, 20):
            display.sent(100, int(datetime(2026, 2, 5, hour, tzinfo=UTC).timestamp() * 1000))
        for one in alerts:
            display.alert(one)
    durations = {"playback": 2.0, "catching up": 0.5}
    display.console.print(
        summary(compare_with_truth(alerts, TRUTH), durations, display.events), soft_wrap=True
    )
    return out.getvalue(), err.getvalue()


def test_without_a_terminal_it_is_plain_and_complete() -> None:
    first = alert("network", "AS64500", revision=1, state="open")
    again = alert("network", "AS64500", revision=2)
    out, err = shown([first, again, alert("account", "x", 6, severity="info")])
    progress, launch = err.splitlines()
    assert progress.startswith("Thu 05 Feb 16:00 UTC · release in 1 h · 100 events · no bucket scored yet")
    assert launch == "— 2026-02-05 17:00 UTC: the new model is released —"
    assert out.count("m-2 together  [new") == 1
    assert out.count("m-2 together  [update") == 1
    assert "account x" not in out
    assert "FOUND  the hidden campaign, 7.5 h of event time after its first switch" in out
    assert "alerts list 2 of 4 accounts (recall 50%) and 1 honest ones (precision 67%)" in out
    assert "400, 200 per second" in out
    assert "\x1b" not in out + err


def test_a_missed_campaign_is_reported() -> None:
    out, _ = shown([])
    assert out.startswith("NOT FOUND  the hidden campaign raised no alert")
    assert "precision" not in out
