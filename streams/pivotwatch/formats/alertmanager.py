"""Alertmanager, API v2.

Alertmanager identifies an alert by all of its labels. So the labels are what stays the same over the life of
an incident, and the severity, which people route by. When the severity changes, the old alert is resolved and
a new one fires. Everything else is an annotation.

Its templates copy labels and annotations into chats unchanged, so both are texts for a chat.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pivotwatch.base.outside_text import chat_text
from pivotwatch.contracts.alerts import Alert
from pivotwatch.contracts.codec import format_moment
from pivotwatch.formats.readable import readable
from pivotwatch.formats.summary import cut, links, parts_of, summary

PATH = "/api/v2/alerts"
ALERTNAME = "ModelAdoptionAnomaly"
LONGEST_ANNOTATION = 4000


def labels(alert: Alert) -> dict[str, str]:
    """The labels, which identify the alert.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> labels(example_alert())["entity_id"]
    'AS64500'
    """
    data = readable(alert, chat_text).data
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
    """A firing alert. It has no end, so it expires after some minutes unless it is sent again."""
    found = links(alert, base_url)
    body: dict[str, Any] = {"labels": labels(alert), "annotations": _annotations(alert, found)}
    if "page" in found:
        body["generatorURL"] = found["page"]
    return body


def resolved(last: Alert, at: datetime) -> dict[str, Any]:
    """The end of an alert.

    Parameters
    ----------
    last
        The alert that fired last: its labels are resolved.
    at
        The present by the clock; event time may lie days behind.
    """
    return {"labels": labels(last), "endsAt": at.isoformat()}


def _annotations(alert: Alert, found: dict[str, str]) -> dict[str, str]:
    data = readable(alert, chat_text).data
    texts = {
        "summary": summary(data),
        "description": "\n".join(data.reasons),
        "next_step": parts_of(data).next_step,
        "onset": format_moment(data.onset),
        "detected_at": format_moment(data.detected_at),
        "members_total": str(data.members_total),
        "exchanges_to_model": str(data.exchanges_to_model),
        "revision": str(data.revision),
        "runbook_url": found.get("runbook", ""),
    }
    return {name: cut(text, LONGEST_ANNOTATION) for name, text in texts.items() if text}
