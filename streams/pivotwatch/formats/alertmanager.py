"""Alertmanager, API v2.

There an alert *is* its labels, all of them. So only what stays the same over the life of an incident
is a label, and the severity, by which people route: when that changes, the old alert is resolved and
another one fires. Everything else is an annotation.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pivotwatch.contracts.alerts import Alert
from pivotwatch.contracts.codec import format_moment
from pivotwatch.formats.summary import cut, links, summary

PATH = "/api/v2/alerts"
ALERTNAME = "ModelAdoptionAnomaly"
LONGEST_ANNOTATION = 4000


def labels(alert: Alert) -> dict[str, str]:
    """What identifies the alert there.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> labels(example_alert())["entity_id"]
    'AS64500'
    """
    data = alert.data
    return {
        "alertname": ALERTNAME,
        "rule": "model_adoption",
        "alert_id": data.alert_id,
        "model": data.model,
        "entity_kind": data.entity.kind,
        "entity_id": data.entity.id,
        "severity": data.severity,
    }


def firing(alert: Alert, base_url: str | None = None) -> dict[str, Any]:
    """The alert as it fires; without an end it lapses after some minutes, so it is sent again and again."""
    found = links(alert, base_url)
    body: dict[str, Any] = {"labels": labels(alert), "annotations": _annotations(alert, found)}
    if "page" in found:
        body["generatorURL"] = found["page"]
    return body


def resolved(told: Alert, at: datetime) -> dict[str, Any]:
    """The end of an alert.

    Parameters
    ----------
    told
        The alert as it last fired: its labels are what ends.
    at
        Now, by the clock: event time may lie days behind.
    """
    return {"labels": labels(told), "endsAt": at.isoformat()}


def _annotations(alert: Alert, found: dict[str, str]) -> dict[str, str]:
    data = alert.data
    texts = {
        "summary": summary(alert),
        "description": "\n".join(data.reasons),
        "onset": format_moment(data.onset),
        "detected_at": format_moment(data.detected_at),
        "members_total": str(data.members_total),
        "exchanges_to_model": str(data.exchanges_to_model),
        "revision": str(data.revision),
        "runbook_url": found.get("runbook", ""),
    }
    return {name: cut(text, LONGEST_ANNOTATION) for name, text in texts.items() if text}
