"""Comparison of the alerts of a run with the truth file of its simulation; a pure function."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pivotwatch.contracts.alerts import Alert

Group = tuple[str, str]
"""Kind and id of a group."""


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """How well a run found the campaign.

    Attributes
    ----------
    campaign
        Name of the campaign in the truth file.
    delay
        Event time from the first switch of the campaign to the close of the bucket that raised the first
        alert on it; None when no alert did.
    found_entities, entities
        Number of groups (such as networks) of the campaign with an alert, and of all its groups.
    listed, listed_right, members
        Number of accounts that the alerts on the campaign list, of those that belong to it, and of all
        its accounts. An alert lists at most 100 accounts, so a large campaign is never listed completely.
    false_alerts
        Number of alerts on honest groups without a roll-out.
    rollout_alerts
        Number of alerts on honest roll-outs, in which a company moves to the new model.
    findings, findings_right
        Number of findings (alerts on single accounts, severity info), and of those on accounts of the
        campaign.
    """

    campaign: str
    delay: timedelta | None
    found_entities: int
    entities: int
    listed: int
    listed_right: int
    members: int
    false_alerts: int
    rollout_alerts: int
    findings: int
    findings_right: int

    @property
    def found(self) -> bool:
        """Whether an alert found the campaign."""
        return self.delay is not None

    @property
    def precision(self) -> float:
        """Share of the listed accounts that belong to the campaign."""
        return self.listed_right / self.listed if self.listed else 0.0

    @property
    def recall(self) -> float:
        """Share of the campaign's accounts that are listed."""
        return self.listed_right / self.members


def compare_with_truth(alerts: Iterable[Alert], truth: Mapping[str, Any]) -> Verdict:
    """Compare alerts with the first campaign of a truth file.

    The first alert on one of its groups after its first switch finds the campaign.
    """
    campaign = truth["campaigns"][0]
    onset = datetime.fromisoformat(campaign["onset"])
    entities = _groups(campaign["entities"])
    related = entities | _groups(campaign["related"])
    rollouts = _groups((one["kind"], one["id"]) for one in truth["rollouts"])
    members = set(campaign["members"])
    right: list[Alert] = []
    false: set[str] = set()
    on_rollouts: set[str] = set()
    findings: set[str] = set()
    for alert in alerts:
        groups = _groups_of(alert)
        if alert.data.entity.kind == "account" and alert.data.severity == "info":
            findings.add(alert.data.entity.id)
        elif groups & related and alert.data.model == campaign["model"] and alert.time >= onset:
            right.append(alert)
        else:
            (on_rollouts if groups & rollouts else false).add(alert.data.alert_id)
    listed = {member for alert in right for member in alert.data.members}
    found = {group for alert in right for group in _groups_of(alert)}
    return Verdict(
        campaign=campaign["id"],
        delay=min(alert.time for alert in right) - onset if right else None,
        found_entities=len(found & entities),
        entities=len(entities),
        listed=len(listed),
        listed_right=len(listed & members),
        members=len(members),
        false_alerts=len(false),
        rollout_alerts=len(on_rollouts),
        findings=len(findings),
        findings_right=len(findings & members),
    )


def _groups(pairs: Iterable[Iterable[str]]) -> set[Group]:
    return {(kind, name) for kind, name in pairs}


def _groups_of(alert: Alert) -> set[Group]:
    return {(group.kind, group.id) for group in (alert.data.entity, *alert.data.groups)}
