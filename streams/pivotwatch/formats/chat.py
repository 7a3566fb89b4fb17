"""Any chat service that the library apprise knows: a title, a text and how grave it is."""

from __future__ import annotations

from typing import NamedTuple

from pivotwatch.contracts.alerts import Alert
from pivotwatch.formats.summary import cut, links, summary, title

LONGEST_BODY = 4000
TYPES = {"info": "info", "low": "info", "medium": "warning", "high": "failure", "critical": "failure"}


class Note(NamedTuple):
    """What apprise takes; ``notify_type`` is info, success, warning or failure."""

    title: str
    body: str
    notify_type: str


def render(alert: Alert, base_url: str | None = None) -> Note:
    """The note."""
    data = alert.data
    lines = [summary(alert), *data.reasons, *links(alert, base_url).values(), alert.id]
    kind = "success" if data.is_closed else TYPES[data.severity]
    return Note(f"{data.severity.upper()}: {title(alert)}", cut("\n".join(lines), LONGEST_BODY), kind)
