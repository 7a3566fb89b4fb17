"""Short texts and links that several targets share."""

from __future__ import annotations

from typing import Any

from pivotwatch.contracts.alerts import Alert, AlertData, Evidence
from pivotwatch.contracts.codec import as_plain

LONGEST_NAME = 120
STATE_WORDS = {"open": "", "updated": "update: ", "resolved": "resolved: ", "suppressed": "suppressed: "}


def state_words(data: AlertData) -> str:
    """How an incident stands, before its title; nothing for a new one.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> state_words(example_alert(state="updated", transition="reopened").data)
    'opened again: '
    """
    return "opened again: " if data.transition == "reopened" else STATE_WORDS[data.state]


def title(alert: Alert) -> str:
    """What moved where, on one line; the same over the life of an incident.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> title(example_alert())
    'network AS64500 moved to m-2'
    """
    data = alert.data
    return f"{tame(data.entity.kind)} {tame(data.entity.id)} moved to {tame(data.model)}"


def summary(alert: Alert) -> str:
    """The title with what makes it worth looking at, the observed value beside the expected one.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> summary(example_alert(state="updated"))
    'update: network AS64500 moved to m-2: 41 accounts, 1,234 exchanges; 96 moves where 4.2 were expected'
    """
    data = alert.data
    accounts = counted(data.members_total, "account")
    return (
        f"{state_words(data)}{title(alert)}: {accounts}, "
        f"{counted(data.exchanges_to_model, 'exchange')}{_beside_expected(data.evidence)}"
    )


def figures(alert: Alert) -> dict[str, Any]:
    """The evidence without its course over time, which is for charts.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> figures(example_alert())["switches_expected"]
    4.23
    """
    found = as_plain(alert.data.evidence)
    del found["series"]
    return found


def _beside_expected(evidence: Evidence) -> str:
    for seen, expected, noun in (
        (evidence.switches_seen, evidence.switches_expected, "moves"),
        (evidence.first_uses_seen, evidence.first_uses_expected, "first uses"),
    ):
        if seen and expected is not None:
            return f"; {seen:,} {noun} where {expected:,.1f} were expected"
    return ""


def counted(count: int, noun: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "account"), counted(1200, "account")
    ('1 account', '1,200 accounts')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def tame(text: str, longest: int = LONGEST_NAME) -> str:
    r"""Names come from outside: on one line, without control characters, and not endless.

    Examples
    --------
    >>> tame("a\nb\x1b[2J"), tame("x" * 5, longest=3)
    ('a b [2J', 'xx…')
    """
    shown = "".join(char if char.isprintable() else " " for char in text)
    return cut(shown, longest)


def cut(text: str, longest: int) -> str:
    """Shorten to at most ``longest`` characters, and show that it was."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def links(alert: Alert, base_url: str | None = None) -> dict[str, str]:
    """The alert's links that work from outside: absolute, or made so with the address of the page.

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
    return {name: url for name, url in urls.items() if url.startswith(("http://", "https://"))}
