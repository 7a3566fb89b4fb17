"""Decides whether a target is notified of an alert, given the last notification that it got."""

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
    "update",
    "severity-changed",
    "resolved",
    "suppressed",
    "repeat",
    "filtered",
    "minor-update",
    "never-notified",
]


@dataclasses.dataclass(frozen=True, slots=True)
class Notification:
    """The last notification of an incident that a target got.

    Attributes
    ----------
    revision, severity, members
        Values of the alert that was sent, or that became a dead letter: the target may have received a
        message although the request failed.
    open
        Whether the incident is open for the target.
    alert
        The alert, for targets that need open alerts to be sent again and again.
    """

    revision: int
    severity: Severity
    open: bool
    alert: Alert | None = None
    members: int = 0


class Decision(NamedTuple):
    """What to do with an alert, and why.

    Attributes
    ----------
    action
        ``send`` the alert, ``replace`` (resolve the alert that was sent and send the new one) or ``skip``.
    """

    action: Action
    reason: Reason


def decide(
    alert: Alert,
    last: Notification | None,
    *,
    wanted: bool,
    by_severity: bool = False,
    updates: Updates = "all",
) -> Decision:
    """Decide what a target gets.

    A target that was notified of an incident also gets its end and the updates that it wants, even when
    its filter does not match them. Otherwise the incident would stay open for the target for ever.

    Parameters
    ----------
    last
        The last notification of the incident that the target got, or None.
    wanted
        Whether the alert matches the filter of the target.
    by_severity
        Whether the target treats an incident whose severity changed as a new incident.
    updates
        Which updates of an open incident the target wants.

    Examples
    --------
    >>> from pivotwatch.contracts.examples import example_alert
    >>> alert = example_alert(state="resolved", revision=3)
    >>> decide(alert, Notification(2, "high", open=True), wanted=False)
    Decision(action='send', reason='resolved')
    >>> decide(alert, None, wanted=True)
    Decision(action='skip', reason='never-notified')
    """
    data = alert.data
    is_open = last is not None and last.open
    if last is not None and data.revision <= last.revision:
        return Decision("skip", "repeat")
    if data.is_closed:
        ended: Reason = "resolved" if data.state == "resolved" else "suppressed"
        return Decision("send", ended) if is_open else Decision("skip", "never-notified")
    if last is not None and is_open:
        if by_severity and last.severity != data.severity:
            return Decision("replace", "severity-changed")
        return _decide_update(data, last, updates)
    if not wanted:
        return Decision("skip", "filtered")
    return Decision("send", "opened" if last is None else "reopened")


def _decide_update(data: AlertData, last: Notification, updates: Updates) -> Decision:
    """Decide about an update of an open incident."""
    if updates != "none" and last.severity != data.severity:
        return Decision("send", "severity-changed")
    doubled = 0 < 2 * last.members <= data.members_total
    major = doubled or data.transition == "confirmed"
    if updates == "all" or (updates == "major" and major):
        return Decision("send", "update")
    return Decision("skip", "minor-update")


def matches(alert: Alert, target: TargetSettings) -> bool:
    """Whether an alert matches the filter of a target."""
    data = alert.data
    return (
        SEVERITIES.index(data.severity) >= SEVERITIES.index(target.min_severity)
        and any(fnmatchcase(data.model, pattern) for pattern in target.models)
        and any(fnmatchcase(data.entity.kind, pattern) for pattern in target.entities)
    )
