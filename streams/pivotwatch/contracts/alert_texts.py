"""The texts of an alert: its title, and the parts that its ``reasons`` consist of.

``reasons`` is a list of sentences in a fixed order: what happened, how sure that is, further reasons. Three
kinds of sentences begin with a label: the next step, the statistical details and the counter-evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

NEXT_STEP, DETAILS, COUNTER_EVIDENCE = "Next step: ", "Details: ", "Counter-evidence: "
NONE_MEASURED = "none measured."
RARE = "A group at the normal limit"
RARE_BEFORE = "An ordinary group would reach this score less than once in"
"""How the same sentence begins in older alerts."""
JOINT = "One group alone with this score would not be reported."


class ReasonParts(NamedTuple):
    """The reasons of an alert by what they say. Every text but the details begins with a capital letter.

    Attributes
    ----------
    what
        What happened.
    how_sure
        How rare the score is; empty for a single account.
    next_step
        What to do; empty when the alert does not say it.
    more
        Further reasons.
    details
        Statistics: score and threshold. Empty for a single account.
    counter_evidence
        What was measured for this alert and speaks against a suspicion.
    """

    what: str
    how_sure: str
    next_step: str
    more: list[str]
    details: str
    counter_evidence: list[str]


def reason_parts(reasons: Iterable[str]) -> ReasonParts:
    """Sort the reasons of an alert by their labels, and take the labels off.

    Examples
    --------
    >>> parts = reason_parts(
    ...     ["12 accounts switched.", "Next step: wait.", "Counter-evidence: events arrived late."]
    ... )
    >>> parts.what, parts.next_step, parts.counter_evidence
    ('12 accounts switched.', 'Wait.', ['Events arrived late.'])
    >>> reason_parts(["Counter-evidence: none measured."]).counter_evidence
    []
    """
    parts = ReasonParts("", "", "", [], "", [])
    for reason in reasons:
        if reason.startswith(COUNTER_EVIDENCE):
            text = reason.removeprefix(COUNTER_EVIDENCE)
            if text != NONE_MEASURED:
                parts.counter_evidence.append(_capital(text))
        elif reason.startswith(NEXT_STEP):
            parts = parts._replace(next_step=_capital(reason.removeprefix(NEXT_STEP)))
        elif reason.startswith(DETAILS):
            parts = parts._replace(details=reason.removeprefix(DETAILS))
        elif reason.startswith((RARE, RARE_BEFORE, JOINT)):
            parts = parts._replace(how_sure=reason)
        elif not parts.what:
            parts = parts._replace(what=reason)
        else:
            parts.more.append(reason)
    return parts


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def group_name(kind: str, name: str) -> str:
    """A group in a sentence.

    Examples
    --------
    >>> (
    ...     group_name("network", "AS64500"),
    ...     group_name("signup", "2026-02-01T10"),
    ...     group_name("payment", "pay-7"),
    ... )
    ('AS64500', 'sign-up batch 2026-02-01T10', 'payment pay-7')
    """
    if kind == "network":
        return name
    return f"sign-up batch {name}" if kind == "signup" else f"{kind} {name}"


def accounts_of(kind: str, name: str, count: int) -> str:
    """The accounts of a group that did something, as the subject of a sentence.

    Parameters
    ----------
    count
        How many; 0 when they are not known.

    Examples
    --------
    >>> accounts_of("network", "AS64500", 412), accounts_of("payment", "pay-7", 1)
    ('412 accounts on AS64500', '1 account with payment pay-7')
    >>> accounts_of("population", "always active, 2 to 4 requests", 0)
    'Accounts that are always active (2 to 4 requests per bucket)'
    >>> accounts_of("account", "acct-9", 1)
    'Account acct-9'
    """
    if kind == "account":
        return f"Account {name}"
    if kind == "population":
        state, _, volume = name.partition(", ")
        return f"Accounts that are {state}" + (f" ({volume} per bucket)" if volume else "")
    accounts = "Accounts" if not count else f"{count:,} account{'' if count == 1 else 's'}"
    preposition = {"network": "on", "signup": "of"}.get(kind, "with")
    return f"{accounts} {preposition} {group_name(kind, name)}"


def is_split_evidence(log_e_pace: float | None, log_e_split: float | None) -> bool:
    """Whether an alert rests on accounts that split their traffic alike, rather than on their speed."""
    return log_e_split is not None and log_e_split > (log_e_pace or 0.0)


def change(first_uses: int, switches: int) -> str:
    """What accounts did, before the model's name: those that only tried a model have not switched to it.

    Examples
    --------
    >>> change(24, 3), change(24, 20)
    ('started using', 'switched to')
    """
    return "started using" if 2 * switches < first_uses else "switched to"


def title(
    kind: str, name: str, model: str, accounts: int, *, first_uses: int, switches: int, same_split: bool
) -> str:
    """What looks suspicious, on one line.

    Parameters
    ----------
    accounts
        Members of the incident.
    first_uses, switches
        Events seen since the onset.
    same_split
        Whether the evidence is that the accounts split their traffic alike, not their speed.

    Examples
    --------
    >>> title("network", "AS64500", "m-2", 412, first_uses=400, switches=390, same_split=False)
    '412 accounts on AS64500 switched to m-2 together'
    >>> title("network", "AS64500", "m-2", 24, first_uses=24, switches=0, same_split=False)
    '24 accounts on AS64500 started using m-2 together'
    >>> title("network", "AS64500", "m-2", 60, first_uses=60, switches=60, same_split=True)
    '60 accounts on AS64500 send the same part of their traffic to m-2'
    >>> title("account", "acct-9", "m-2", 1, first_uses=0, switches=0, same_split=False)
    'Account acct-9 switched to m-2 suddenly'
    """
    who = accounts_of(kind, name, accounts)
    if same_split and accounts != 1:
        return f"{who} send the same part of their traffic to {model}"
    how = "suddenly" if kind == "account" else "together" if accounts != 1 else ""
    return f"{who} {change(first_uses, switches)} {model} {how}".rstrip()
