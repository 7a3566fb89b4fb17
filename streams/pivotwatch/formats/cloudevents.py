"""CloudEvents 1.0 in structured mode: the alert, unchanged."""

from __future__ import annotations

from pivotwatch.base.outside_text import visible_json
from pivotwatch.contracts.alerts import Alert
from pivotwatch.formats.message import Message

CONTENT_TYPE = "application/cloudevents+json"


def render(alert: Alert, raw: bytes) -> Message:
    """The message; ``raw`` is the record that was read, so a repeat is equal byte for byte.

    Hidden characters are escaped as JSON allows, so the values are those of the record.
    """
    return Message(alert.data.alert_id, visible_json(raw), {"content-type": CONTENT_TYPE})
