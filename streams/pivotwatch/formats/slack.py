"""Slack: a message of blocks for an incoming webhook.

Slack's incoming webhooks cannot change an earlier message, so every revision is a message of its own
that says how the incident stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pivotwatch.contracts.alerts import Alert, AlertData
from pivotwatch.contracts.codec import format_moment
from pivotwatch.formats.summary import counted, cut, links, state_words, summary, tame, title

MOST_BLOCKS = 50
LONGEST_HEADER = 150
LONGEST_TEXT = 3000
LONGEST_FIELD = 2000
MOST_FIELDS = 10

SIGNS = {"info": "🔵", "low": "🔵", "medium": "🟡", "high": "🔴", "critical": "🚨"}
CLOSED_SIGNS = {"resolved": "✅", "suppressed": "🔕"}


def render(alert: Alert, base_url: str | None = None) -> dict[str, Any]:
    """The message: headline, the figures, one block per reason, links."""
    *body, last = _blocks(alert, base_url)
    return {"text": escape(cut(summary(alert), LONGEST_TEXT)), "blocks": [*body[: MOST_BLOCKS - 1], last]}


def _blocks(alert: Alert, base_url: str | None) -> Iterator[dict[str, Any]]:
    data = alert.data
    sign = CLOSED_SIGNS.get(data.state, SIGNS[data.severity])
    headline = f"{sign} {data.severity.upper()} {state_words(data)}{title(alert)}"
    yield {"type": "header", "text": {"type": "plain_text", "text": cut(headline, LONGEST_HEADER)}}
    yield {
        "type": "section",
        "fields": [_markdown(text, LONGEST_FIELD) for text in _fields(data)][:MOST_FIELDS],
    }
    for reason in data.reasons:
        yield {"type": "section", "text": _markdown(escape(tame(reason, LONGEST_TEXT)), LONGEST_TEXT)}
    shown = [f"<{escape(url)}|{name}>" for name, url in sorted(links(alert, base_url).items())]
    yield {"type": "context", "elements": [_markdown(" · ".join([*shown, alert.id]), LONGEST_TEXT)]}


def _fields(data: AlertData) -> Iterator[str]:
    evidence = data.evidence
    yield f"*Who*\n{counted(data.members_total, 'account')}"
    yield f"*How much*\n{counted(data.exchanges_to_model, 'exchange')}"
    yield f"*Since*\n{format_moment(data.onset)}"
    if evidence.observed_share is not None and evidence.population_share is not None:
        yield (
            f"*Share of its requests*\n{evidence.observed_share:.0%}; "
            f"everybody else {evidence.population_share:.1%}"
        )
    if evidence.switches_seen is not None and evidence.switches_expected is not None:
        yield f"*Moves*\n{evidence.switches_seen:,}; expected {evidence.switches_expected:,.1f}"
    if data.transition:
        yield f"*Why now*\n{escape(tame(data.transition)).replace('-', ' ')}"


def escape(text: str) -> str:
    """Take from a text what Slack would read as mark-up: mentions and links.

    Examples
    --------
    >>> escape("AS1 <!channel> & co")
    'AS1 &lt;!channel&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _markdown(text: str, longest: int) -> dict[str, str]:
    # Never cut through an escaped character.
    return {"type": "mrkdwn", "text": re.sub(r"&\w{0,3}…$", "…", cut(text, longest))}
