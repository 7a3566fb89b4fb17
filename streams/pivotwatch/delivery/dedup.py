"""What a target is told of an alert, given what it was told before: one decision, with its reason."""

from __future__ import annotations

import dataclasses
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from pivotwatch.contracts.alerts import Alert, AlertData
from pivotwatch.delivery.settings import TargetSettings, Updates
from pivotwatch_models.incidents.terms import SEVERITIES, Severity

Action = Literal["send", "replace", "skip"]
Reason = Literal[
    "opened",
    "reopened",
    "news",
    "severity-changed",
    "resolved",
    "suppressed",
    "repeat",
    "filtered",
    "minor",
    "never-told",
]


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What a target was last told of an incident.

    Attributes
    ----------
    revision, severity, members
        Of the alert it was told, or that was given up: it may have arrived all the same.
    open
        Does the target hold the incident as going on?
    alert
        That alert, for targets that must be told again and again.
    """

    revision: int
    severity: Severity
    open: bool
    alert: Alert | None = None
    members: int = 0


class Decision(NamedTuple):
    """What to do, and why: send the alert, end the old one and send it, or nothing."""

    action: Action
    reason: Reason


def decide(
    alert: Alert, told: Told | None, *, wanted: bool, by_severity: bool = False, updates: Updates = "all"
) -> Decision:
    """Decide what a target gets.

    A target that was told of an incident gets its end, and the updates that it wants, also when its
    filter would not let them pass: otherwise it would hold the incident as open for ever.

    Parameters
    ----------
    told
        What the target was told last, None for nothing.
    wanted
        Does the alert pass the target's filter?
    by_severity
        Is an incident of another severity another one for this target?
    updates
        Which news of an incident that goes on it wants.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> alert = example_alert(state="resolved", revision=3)
    >>> decide(alert, Told(2, "high", open=True), wanted=False)
    Decision(action='send', reason='resolved')
    >>> decide(alert, None, wanted=True)
    Decision(action='skip', reason='never-told')
    """
    data = alert.data
    holds = told is not None and told.open
    if told is not None and data.revision <= told.revision:
        return Decision("skip", "repeat")
    if data.is_closed:
        ended: Reason = "resolved" if data.state == "resolved" else "suppressed"
        return Decision("send", ended) if holds else Decision("skip", "never-told")
    if told is not None and holds:
        if by_severity and told.severity != data.severity:
            return Decision("replace", "severity-changed")
        return _news(data, told, updates)
    if not wanted:
        return Decision("skip", "filtered")
    return Decision("send", "opened" if told is None else "reopened")


def _news(data: AlertData, told: Told, updates: Updates) -> Decision:
    """News of an incident that goes on, measured against what the target was told."""
    if updates != "none" and told.severity != data.severity:
        return Decision("send", "severity-changed")
    doubled = 0 < 2 * told.members <= data.members_total
    major = doubled or data.transition == "confirmed"
    if updates == "all" or (updates == "major" and major):
        return Decision("send", "news")
    return Decision("skip", "minor")


def matches(alert: Alert, target: TargetSettings) -> bool:
    """Does an alert pass the filter of a target?"""
    data = alert.data
    return (
        SEVERITIES.index(data.severity) >= SEVERITIES.index(target.min_severity)
        and any(fnmatchcase(data.model, pattern) for pattern in target.models)
        and any(fnmatchcase(data.entity.kind, pattern) for pattern in target.entities)
    )
