"""What was found, held against what was hidden. Pure: alerts and a truth file in, figures out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pivotwatch.contracts.alerts import Alert

Named = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """How a run did.

    Attributes
    ----------
    campaign
        Its name in the truth file.
    delay
        From the first move of the campaign to the close of the bucket that raised the first
        alert on it, in event time; None when it was not found.
    found_entities, entities
        Networks (or other groups) of the campaign with an alert, and all of them.
    listed, listed_right, members
        Accounts that the alerts on it list, those of them that belong to it, all that do. An
        alert lists at most a hundred, so a large campaign is never listed whole.
    false_alerts
        Alerts on groups that are honest, roll-outs apart.
    rollout_alerts
        Alerts on honest company-wide moves.
    accounts_noted, accounts_right
        Single accounts noted (severity info), and those of them that belong to the campaign.
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
    accounts_noted: int
    accounts_right: int

    @property
    def found(self) -> bool:
        """The campaign was found."""
        return self.delay is not None

    @property
    def precision(self) -> float:
        """Share of the listed accounts that belong to the campaign."""
        return self.listed_right / self.listed if self.listed else 0.0

    @property
    def recall(self) -> float:
        """Share of the campaign's accounts that are listed."""
        return self.listed_right / self.members


def judge(alerts: Iterable[Alert], truth: Mapping[str, Any]) -> Verdict:
    """Hold alerts against the first campaign of a truth file.

    An alert on any of the campaign's groups has found it, unless it comes before the move.
    """
    campaign = truth["campaigns"][0]
    onset = datetime.fromisoformat(campaign["onset"])
    hidden = _named(campaign["entities"])
    related = hidden | _named(campaign["related"])
    rollouts = _named((one["kind"], one["id"]) for one in truth["rollouts"])
    members = set(campaign["members"])
    on_it: list[Alert] = []
    false: set[str] = set()
    rolled: set[str] = set()
    noted: set[str] = set()
    for alert in alerts:
        groups = {(group.kind, group.id) for group in (alert.data.entity, *alert.data.groups)}
        if alert.data.entity.kind == "account" and alert.data.severity == "info":
            noted.add(alert.data.entity.id)
        elif groups & related and alert.data.model == campaign["model"] and alert.time >= onset:
            on_it.append(alert)
        else:
            (rolled if groups & rollouts else false).add(alert.data.alert_id)
    listed = {member for alert in on_it for member in alert.data.members}
    touched = {(group.kind, group.id) for alert in on_it for group in (alert.data.entity, *alert.data.groups)}
    return Verdict(
        campaign=campaign["id"],
        delay=min((alert.time for alert in on_it), default=onset) - onset if on_it else None,
        found_entities=len(touched & hidden),
        entities=len(hidden),
        listed=len(listed),
        listed_right=len(listed & members),
        members=len(members),
        false_alerts=len(false),
        rollout_alerts=len(rolled),
        accounts_noted=len(noted),
        accounts_right=len(noted & members),
    )


def _named(entities: Iterable[Iterable[str]]) -> set[Named]:
    return {(kind, name) for kind, name in entities}
