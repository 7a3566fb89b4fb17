"""What a target is told of an alert, given what it was told before: one decision, with its reason."""

from __future__ import annotations

import dataclasses
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

from streams.alerts import Severity
from streams.delivery.settings import TargetSettings
from streams.sinks.message import JsonAlert, is_closed

SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")

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
    "never-told",
]


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What a target was last told of an incident.

    Attributes
    ----------
    revision, severity
        Of the alert it was told, or that was given up: it may have arrived all the same.
    open
        Does the target hold the incident as going on?
    alert
        That alert, for targets that must be told again and again.
    """

    revision: int
    severity: Severity
    open: bool
    alert: dict[str, Any] | None = None


class Decision(NamedTuple):
    """What to do, and why: send the alert, end the old one and send it, or nothing."""

    action: Action
    reason: Reason


def decide(alert: JsonAlert, told: Told | None, *, wanted: bool, by_severity: bool = False) -> Decision:
    """Decide what a target gets.

    A target that was told of an incident gets all of it, also what its filter would not let pass:
    otherwise it would hold it as open for ever.

    Parameters
    ----------
    told
        What the target was told last, None for nothing.
    wanted
        Does the alert pass the target's filter?
    by_severity
        Is an incident of another severity another one for this target?

    Examples
    --------
    >>> alert = {"data": {"state": "resolved", "severity": "high", "revision": 3}}
    >>> decide(alert, Told(2, "high", open=True), wanted=False)
    Decision(action='send', reason='resolved')
    >>> decide(alert, None, wanted=True)
    Decision(action='skip', reason='never-told')
    """
    data = alert["data"]
    holds = told is not None and told.open
    if told is not None and data["revision"] <= told.revision:
        return Decision("skip", "repeat")
    if is_closed(alert):
        return Decision("send", data["state"]) if holds else Decision("skip", "never-told")
    if told is not None and holds:
        if by_severity and told.severity != data["severity"]:
            return Decision("replace", "severity-changed")
        return Decision("send", "news")
    if not wanted:
        return Decision("skip", "filtered")
    return Decision("send", "opened" if told is None else "reopened")


def matches(alert: JsonAlert, target: TargetSettings) -> bool:
    """Does an alert pass the filter of a target?"""
    data = alert["data"]
    return (
        SEVERITIES.index(data["severity"]) >= SEVERITIES.index(target.min_severity)
        and any(fnmatchcase(data["model"], pattern) for pattern in target.models)
        and any(fnmatchcase(data["entity"]["kind"], pattern) for pattern in target.entities)
    )
