"""PagerDuty Events API v2: one PagerDuty incident per incident, by ``dedup_key``.

An open or updated incident triggers with the same key, so PagerDuty shows one incident with its newest state.
A resolved or suppressed incident resolves it.
"""

from __future__ import annotations

from typing import Any

from pivotwatch.base.outside_text import chat_text
from pivotwatch.contracts.alerts import Alert
from pivotwatch.contracts.codec import format_moment
from pivotwatch.formats.readable import readable
from pivotwatch.formats.summary import cut, figures, links, summary

URL = "https://events.pagerduty.com/v2/enqueue"
LONGEST_KEY = 255
LONGEST_SUMMARY = 1024
REASONS_SHOWN = 20
LONGEST_REASON = 1000

SEVERITIES = {"info": "info", "low": "warning", "medium": "warning", "high": "error", "critical": "critical"}


def render(alert: Alert, routing_key: str, base_url: str | None = None) -> dict[str, Any]:
    """The event to enqueue.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> render(example_alert(state="resolved"), "key")
    {'routing_key': 'key', 'event_action': 'resolve', 'dedup_key': 'pivotwatch/0123456789abcdef'}
    """
    alert = readable(alert, chat_text)  # PagerDuty passes texts on to chats.
    closed = alert.data.is_closed
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "resolve" if closed else "trigger",
        "dedup_key": alert.data.dedup_key[:LONGEST_KEY],
    }
    if not closed:
        event["client"] = "pivotwatch"
        event["payload"] = _payload(alert)
        found = sorted(links(alert, base_url).items())
        event["links"] = [{"href": url, "text": name} for name, url in found]
    return event


def _payload(alert: Alert) -> dict[str, Any]:
    data = alert.data
    return {
        "summary": cut(summary(data), LONGEST_SUMMARY),
        "source": alert.source,
        "severity": SEVERITIES[data.severity],
        "timestamp": format_moment(data.detected_at),
        "component": cut(data.model, LONGEST_KEY),
        "group": cut(f"{data.entity.kind}/{data.entity.id}", LONGEST_KEY),
        "class": "model-adoption",
        "custom_details": {
            "alert_id": data.alert_id,
            "revision": data.revision,
            "severity": data.severity,
            "transition": data.transition,
            "onset": format_moment(data.onset),
            "members_total": data.members_total,
            "exchanges_to_model": data.exchanges_to_model,
            "reasons": [cut(reason, LONGEST_REASON) for reason in data.reasons[:REASONS_SHOWN]],
            "evidence": figures(alert),
        },
    }
