"""Any chat service that the library apprise supports: a title, a text and a type."""

from __future__ import annotations

from typing import NamedTuple

from pivotwatch.base.outside_text import chat_text
from pivotwatch.contracts.alerts import Alert
from pivotwatch.formats.readable import readable
from pivotwatch.formats.summary import cut, heading, links

LONGEST_BODY = 4000
TYPES = {"info": "info", "low": "info", "medium": "warning", "high": "failure", "critical": "failure"}


class Note(NamedTuple):
    """A notification of apprise; ``notify_type`` is info, success, warning or failure."""

    title: str
    body: str
    notify_type: str


def render(alert: Alert, base_url: str | None = None) -> Note:
    """The notification: the heading, every reason, the links and the id."""
    data = readable(alert, chat_text).data
    lines = [*data.reasons, *links(alert, base_url).values(), alert.id]
    kind = "success" if data.is_closed else TYPES[data.severity]
    return Note(heading(data), cut("\n".join(lines), LONGEST_BODY), kind)
