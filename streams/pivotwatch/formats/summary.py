"""Short texts and links that several targets share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pivotwatch.formats.message import JsonAlert

LONGEST_NAME = 120
STATE_WORDS = {"open": "", "updated": "update: ", "resolved": "resolved: ", "suppressed": "suppressed: "}


def state_words(data: Mapping[str, Any]) -> str:
    """How an incident stands, before its title; nothing for a new one.

    Examples
    --------
    >>> state_words({"state": "updated", "transition": "reopened"}), state_words({"state": "resolved"})
    ('opened again: ', 'resolved: ')
    """
    return "opened again: " if data.get("transition") == "reopened" else STATE_WORDS[data["state"]]


def title(alert: JsonAlert) -> str:
    """What moved where, on one line; the same over the life of an incident.

    Examples
    --------
    >>> title({"data": {"entity": {"kind": "network", "id": "AS64500"}, "model": "m-2"}})
    'network AS64500 moved to m-2'
    """
    data = alert["data"]
    return f"{tame(data['entity']['kind'])} {tame(data['entity']['id'])} moved to {tame(data['model'])}"


def summary(alert: JsonAlert) -> str:
    """The title with what makes it worth looking at, the observed value beside the expected one.

    Examples
    --------
    >>> summary(
    ...     {
    ...         "data": {
    ...             "entity": {"kind": "network", "id": "AS64500"},
    ...             "model": "m-2",
    ...             "state": "updated",
    ...             "members_total": 41,
    ...             "exchanges_to_model": 1234,
    ...             "evidence": {"switches_seen": 96, "switches_expected": 4.23},
    ...         }
    ...     }
    ... )
    'update: network AS64500 moved to m-2: 41 accounts, 1,234 exchanges; 96 moves where 4.2 were expected'
    """
    data = alert["data"]
    accounts = counted(data["members_total"], "account")
    return (
        f"{state_words(data)}{title(alert)}: {accounts}, "
        f"{counted(data['exchanges_to_model'], 'exchange')}{_beside_expected(data['evidence'])}"
    )


def figures(alert: JsonAlert) -> dict[str, Any]:
    """The evidence without its course over time, which is for charts.

    Examples
    --------
    >>> figures({"data": {"evidence": {"theta": 3.0, "series": {"at": [0]}}}})
    {'theta': 3.0}
    """
    return {name: value for name, value in alert["data"]["evidence"].items() if name != "series"}


def _beside_expected(evidence: dict[str, Any]) -> str:
    for kind, noun in (("switches", "moves"), ("first_uses", "first uses")):
        seen, expected = evidence.get(f"{kind}_seen"), evidence.get(f"{kind}_expected")
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


def links(alert: JsonAlert, base_url: str | None = None) -> dict[str, str]:
    """The alert's links that work from outside: absolute, or made so with the address of the page.

    Examples
    --------
    >>> alert = {"data": {"urls": {"runbook": "/runbook#opened", "page": None}}}
    >>> links(alert), links(alert, "https://watch.example")
    ({}, {'runbook': 'https://watch.example/runbook#opened'})
    >>> links(alert, "https://intern.example/watch")
    {'runbook': 'https://intern.example/watch/runbook#opened'}
    """
    urls = {name: url for name, url in alert["data"].get("urls", {}).items() if url}
    if base_url:
        urls = {name: f"{base_url}{url}" if url.startswith("/") else url for name, url in urls.items()}
    return {name: url for name, url in urls.items() if url.startswith(("http://", "https://"))}
