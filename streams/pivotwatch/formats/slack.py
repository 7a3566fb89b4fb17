"""Slack: a message of blocks for an incoming webhook.

An incoming webhook cannot change an earlier message, so every revision is a message of its own that says what
state the incident is in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pivotwatch.base.display import clock_time, percent, two_digits
from pivotwatch.base.outside_text import chat_text, slack_entities, slack_text
from pivotwatch.contracts.alert_texts import ReasonParts
from pivotwatch.contracts.alerts import Alert, AlertData
from pivotwatch.formats.readable import readable
from pivotwatch.formats.summary import LONGEST_NAME, cut, heading, links, parts_of, summary

MOST_BLOCKS = 50
LONGEST_HEADER = 150
LONGEST_TEXT = 3000
LONGEST_FIELD = 2000
MOST_FIELDS = 10

SIGNS = {"info": "🔵", "low": "🔵", "medium": "🟡", "high": "🔴", "critical": "🚨"}
CLOSED_SIGNS = {"resolved": "✅", "suppressed": "🔕"}


def render(alert: Alert, base_url: str | None = None) -> dict[str, Any]:
    """The message: heading, figures, one block per reason, links."""
    *body, last = _blocks(alert, base_url)
    return {
        "text": _whole(cut(summary(readable(alert, slack_text).data), LONGEST_TEXT)),
        "blocks": [*body[: MOST_BLOCKS - 1], last],
    }


def _blocks(alert: Alert, base_url: str | None) -> Iterator[dict[str, Any]]:
    data = readable(alert, slack_text).data
    sign = CLOSED_SIGNS.get(data.state, SIGNS[data.severity])
    # A plain text has no entities.
    headline = f"{sign} {heading(readable(alert, chat_text).data)}"
    yield {"type": "header", "text": {"type": "plain_text", "text": cut(headline, LONGEST_HEADER)}}
    yield {
        "type": "section",
        "fields": [_markdown(text, LONGEST_FIELD) for text in _fields(data)][:MOST_FIELDS],
    }
    for text in _sentences(parts_of(data)):
        yield {"type": "section", "text": _markdown(text, LONGEST_TEXT)}
    shown = [f"<{slack_entities(url)}|{name}>" for name, url in sorted(links(alert, base_url).items())]
    yield {"type": "context", "elements": [_markdown(" · ".join([*shown, alert.id]), LONGEST_TEXT)]}


def _sentences(parts: ReasonParts) -> Iterator[str]:
    """The reasons as Slack's mark-up, labels in bold."""
    yield from filter(None, (parts.what, parts.how_sure))
    if parts.next_step:
        yield f"*Next step*\n{parts.next_step}"
    yield from parts.more
    against = "\n".join(parts.counter_evidence) or "None measured."
    yield f"*Counter-evidence*\n{against}"
    if parts.details:
        yield f"_Details: {parts.details}_"


def _fields(data: AlertData) -> Iterator[str]:
    evidence = data.evidence
    yield f"*Accounts*\n{data.members_total:,}"
    yield f"*Exchanges with {cut(data.model, LONGEST_NAME)}*\n{data.exchanges_to_model:,}"
    yield f"*Since*\n{clock_time(data.onset)}"
    if evidence.observed_share is not None and evidence.population_share is not None:
        yield (
            f"*Share of requests*\n{percent(evidence.observed_share)}, "
            f"everyone else {percent(evidence.population_share)}"
        )
    if evidence.switches_seen is not None and evidence.switches_expected is not None:
        yield f"*Switches*\n{evidence.switches_seen:,}, {two_digits(evidence.switches_expected)} expected"
    if data.transition:
        yield f"*Reason for this message*\n{cut(data.transition, LONGEST_NAME).replace('-', ' ')}"


def _markdown(text: str, longest: int) -> dict[str, Any]:
    # Verbatim: Slack makes no links and mentions of its own.
    return {"type": "mrkdwn", "text": _whole(cut(text, longest)), "verbatim": True}


def _whole(text: str) -> str:
    """Without half an entity, wherever a text was cut."""
    return re.sub(r"&(?!amp;|lt;|gt;)\w{0,3}", "", text)
