"""Short texts and links that several targets share.

The functions take an alert from `pivotwatch.formats.readable`. Otherwise make visible what they return.
"""

from __future__ import annotations

import re
from typing import Any

from pivotwatch.base.outside_text import visible
from pivotwatch.contracts.alert_texts import ReasonParts, is_split_evidence, reason_parts, title
from pivotwatch.contracts.alerts import Alert, AlertData
from pivotwatch.contracts.codec import as_plain

LONGEST_NAME = 120
LONGEST_SENTENCE = 1000
_ADDRESS = re.compile(r"https?://[^\s<>|\"`\\^{}]+")
STATE_WORDS = {"open": "", "updated": "update", "resolved": "resolved", "suppressed": "suppressed"}


def state_words(data: AlertData) -> str:
    """The state of an incident in words; empty for a new one.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> state_words(example_alert(state="updated", transition="reopened").data)
    'opened again'
    """
    return "opened again" if data.transition == "reopened" else STATE_WORDS[data.state]


def title_of(data: AlertData) -> str:
    """What looks suspicious, on one line.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> title_of(example_alert().data), title_of(example_alert(test=True).data)
    ('41 accounts on AS64500 switched to m-2 together', 'Test of delivery')
    """
    if data.test is True:
        return "Test of delivery"
    evidence = data.evidence
    return title(
        cut(data.entity.kind, LONGEST_NAME),
        cut(data.entity.id, LONGEST_NAME),
        cut(data.model, LONGEST_NAME),
        data.members_total,
        first_uses=evidence.first_uses_seen or 0,
        switches=evidence.switches_seen or 0,
        same_split=is_split_evidence(evidence.log_e_pace, evidence.log_e_split),
    )


def heading(data: AlertData) -> str:
    """The title after severity and state.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> heading(example_alert(state="updated").data)
    'High, update: 41 accounts on AS64500 switched to m-2 together'
    """
    state = state_words(data)
    return f"{data.severity.capitalize()}{', ' + state if state else ''}: {title_of(data)}"


def summary(data: AlertData) -> str:
    """What happened, how sure that is, and what to do, on one line.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> summary(example_alert(state="updated").data)
    'Update: 41 accounts on AS64500 switched to m-2 together. A group at the normal limit (2×) would \
reach this score less than once in a trillion days. Next step: find out who is behind AS64500.'
    """
    state = state_words(data).capitalize()
    parts = parts_of(data)
    sentences = [f"{state + ': ' if state else ''}{title_of(data)}.", parts.how_sure]
    if parts.next_step:
        sentences.append(f"Next step: {parts.next_step[0].lower()}{parts.next_step[1:]}")
    return " ".join(filter(None, sentences))


def parts_of(data: AlertData) -> ReasonParts:
    """The reasons by what they say, each with at most `LONGEST_SENTENCE` characters."""
    return reason_parts(cut(text, LONGEST_SENTENCE) for text in data.reasons)


def figures(alert: Alert) -> dict[str, Any]:
    """The evidence without the series, which is for charts.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> figures(example_alert())["switches_expected"]
    4.23
    """
    found = as_plain(alert.data.evidence)
    del found["series"]
    return found


def cut(text: str, longest: int) -> str:
    """Shorten to at most ``longest`` characters, with an ellipsis at the cut.

    Examples
    --------
    >>> cut("x" * 5, longest=3)
    'xx…'
    """
    return text if len(text) <= longest else text[: longest - 1] + "…"


def links(alert: Alert, base_url: str | None = None) -> dict[str, str]:
    """The absolute links of an alert; a path becomes one with the address of the page.

    An address with a character that no address has, such as a space or ``|``, is left out.

    Examples
    --------
    >>> from pivotwatch.contracts.alerts import Urls
    >>> from pivotwatch.contracts.examples import example_alert
    >>> alert = example_alert(urls=Urls(runbook="/runbook#opened"))
    >>> links(alert), links(alert, "https://watch.example")
    ({}, {'runbook': 'https://watch.example/runbook#opened'})
    >>> links(alert, "https://intern.example/watch")
    {'runbook': 'https://intern.example/watch/runbook#opened'}
    """
    own = alert.data.urls
    urls = {name: url for name, url in (("runbook", own.runbook), ("page", own.page)) if url}
    if base_url:
        urls = {name: f"{base_url}{url}" if url.startswith("/") else url for name, url in urls.items()}
    return {name: url for name, url in urls.items() if _ADDRESS.fullmatch(url) and visible(url) == url}
