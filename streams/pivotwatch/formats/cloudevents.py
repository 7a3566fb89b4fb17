"""CloudEvents 1.0 in structured mode: the alert, unchanged to the byte."""

from __future__ import annotations

from pivotwatch.contracts.alerts import Alert
from pivotwatch.formats.message import Message

CONTENT_TYPE = "application/cloudevents+json"


def render(alert: Alert, raw: bytes) -> Message:
    """The message; ``raw`` is the record that was read, so a repeat is equal to the byte."""
    return Message(alert.data.alert_id, raw, {"content-type": CONTENT_TYPE})
