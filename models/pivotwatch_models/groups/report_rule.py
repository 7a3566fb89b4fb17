r"""Which groups are reported: those whose score crosses a threshold and whose pace is improbable.

A group's score crosses in one of two ways.

* Its score :math:`\ln R` reaches :math:`\ln(2 \cdot \text{buckets per day} / \text{alert budget})`. Half of
  the budget of the first week is the head start's, so the threshold is at twice the odds.
* e-BH picks it among all groups of all watched releases (`pivotwatch_models.groups.e_bh`), with
  :math:`e = R / (H + \max(H, t))`: :math:`R` starts at :math:`H`, so after :math:`t` buckets of the watch its
  mean is at most :math:`H + t`.

An ordinary group may stay faster than its normal limit. So a group that crosses on its pace is reported only
when fewer than 0.5 of the watched groups would be that fast by chance, and the chance for one
group is under 1 % (`pivotwatch_models.population.group_heterogeneity.GroupHeterogeneity.surprise`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pivotwatch_models.base.counts import Group
from pivotwatch_models.groups.e_bh import e_bh, smallest_reportable
from pivotwatch_models.groups.group_state import GroupState
from pivotwatch_models.groups.watched_groups import WatchedGroups
from pivotwatch_models.method import DECISION
from pivotwatch_models.population.always_active import POPULATION
from pivotwatch_models.settings import Settings

_RULE = DECISION.report_rule
_LEAST_SURPRISE = math.log(_RULE.least_surprise)


def report_threshold(settings: Settings) -> float:
    """Score at which a group crosses by itself.

    Examples
    --------
    >>> round(report_threshold(Settings()), 1)
    15.4
    """
    budget = (1 - _RULE.head_start_share) * settings.alert_budget
    return math.log(settings.buckets_per_day / budget)


class ReportRule:
    """Decides which groups of one watch are reported.

    Parameters
    ----------
    groups
        The groups of the watch.
    horizon
        H, in buckets.
    began
        The bucket of the release.

    Attributes
    ----------
    e_bh_threshold
        The least score that e-BH picked in the last scored bucket; inf when it picked none.
    """

    def __init__(self, groups: WatchedGroups, horizon: int, began: int = 0) -> None:
        self.groups = groups
        self.horizon = horizon
        self.began = began
        self.e_bh_threshold = math.inf

    def crossed(self, group: Group) -> tuple[bool, bool]:
        """Whether the group's score reaches its own threshold, and whether it reaches that of e-BH."""
        score = self.groups.states[group].log_r
        return score >= self.groups.threshold, score >= self.e_bh_threshold

    def reported(self) -> list[Group]:
        """Groups whose score reaches either threshold and whose pace is improbable, sorted."""
        least = min(self.groups.threshold, self.e_bh_threshold)
        return sorted(
            g
            for g, state in self.groups.states.items()
            if state.log_r >= least and self._is_improbable(g, state, least)
        )

    def _is_improbable(self, group: Group, state: GroupState, least: float) -> bool:
        """Whether the split is the evidence, or an ordinary group would hardly be so fast."""
        if group[0] == POPULATION or state.log_split >= least:
            return True
        needed = max(_LEAST_SURPRISE, math.log(len(self.groups.states) / _RULE.expected_by_chance))
        detector, most = state.detector, self.groups.settings.theta
        surprise = self.groups.heterogeneity.surprise
        return any(
            surprise(group[0], detector.seen[part], detector.expected[part], most) >= needed
            for part in detector.parts_of(detector.leading)
        )

    def log_mean(self, bucket: int) -> float:
        """Logarithm of what the mean of R is at most, in any of the buckets so far."""
        return math.log(self.horizon + max(self.horizon, bucket - self.began))

    def e_bh_scores(self, bucket: int) -> list[float]:
        """Scores of the groups that e-BH might pick: those with an account at risk within the horizon."""
        least, recent = smallest_reportable() + self.log_mean(bucket), bucket - self.horizon
        states = (state for state in self.groups.states.values() if state.last_risk > recent)
        return [score for state in states if (score := state.log_r) >= least]

    def hypotheses(self, bucket: int) -> int:
        """Number of groups that had an account at risk within the horizon."""
        return sum(1 for state in self.groups.states.values() if state.last_risk > bucket - self.horizon)


def apply_e_bh(rules: Sequence[ReportRule], bucket: int) -> None:
    """Set the e-BH thresholds over all groups of all watched releases; G is the number of groups of all."""
    scores = [(rule, rule.e_bh_scores(bucket)) for rule in rules]
    log_e = [score - rule.log_mean(bucket) for rule, own in scores for score in own]
    least = math.inf
    if log_e:
        least = e_bh(log_e, max(1, sum(rule.hypotheses(bucket) for rule in rules)))
    for rule, own in scores:
        # The least score that is picked, not a sum: rounding could lift a sum over the group on the edge.
        picked = (score for score in own if score - rule.log_mean(bucket) >= least)
        rule.e_bh_threshold = min(picked, default=math.inf)
