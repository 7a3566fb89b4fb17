"""Events expected of every group in one bucket, from what the rest of the population does.

The accounts of a bucket are compared in three ways:

* accounts that were active before, with everyone else in the same bucket
  (`pivotwatch_models.population.hazard`);
* accounts that were never seen before, with such accounts of other groups so far
  (`pivotwatch_models.population.newcomers`);
* accounts that are always active, over all groups, with accounts that pause
  (`pivotwatch_models.population.always_active`).

The first two add up to the expectation of a group. The third makes one further group per band of volume.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from pivotwatch_models.accounts.share_models import EVENT_TYPES, FIRST_USE
from pivotwatch_models.base.arrays import Floats, Ints, Mask
from pivotwatch_models.base.counts import ModelCounts
from pivotwatch_models.method import DECISION, STATE
from pivotwatch_models.population.always_active import AlwaysActiveHazard
from pivotwatch_models.population.cohorts import NEWCOMER_COHORTS, SETTLED_COHORTS
from pivotwatch_models.population.hazard import PopulationHazard, weigh
from pivotwatch_models.population.newcomers import NewcomerHazard
from pivotwatch_models.settings import Settings


class TypeExpectation(NamedTuple):
    """One type of event in one bucket; every array has one entry per group, in the order of the counts.

    Attributes
    ----------
    hazard
        Chance that an account at risk had its event, over the sets without a flagged group.
    seen, expected
        Events S and their expectation E.
    always_seen, always_expected
        The same of the accounts that were active in the bucket before too and are not young.
    newcomers, newcomer_events
        Accounts never seen before, and those of them that had the event.
    at_risk
        Accounts that had not had the event.
    """

    hazard: float
    seen: Ints
    expected: Floats
    always_seen: Ints
    always_expected: Floats
    newcomers: Ints
    newcomer_events: Ints
    at_risk: Ints


class PopulationExpectations:
    """What everyone else lets one expect of a group, for one release.

    Parameters
    ----------
    settings
        Parameters of the method.
    """

    def __init__(self, settings: Settings) -> None:
        decay = settings.decay(STATE.hazard.decay_per_hour)
        self.hazards = tuple(PopulationHazard(decay) for _ in EVENT_TYPES)
        self.newcomers = tuple(NewcomerHazard() for _ in EVENT_TYPES)
        self.always_active = AlwaysActiveHazard()
        self.recent: list[tuple[int, float]] = []
        self._kept = settings.buckets(STATE.lateness.counted_ms)

    @property
    def learning(self) -> bool:
        """Whether too few first uses were seen so far for a firm expectation."""
        return self.hazards[FIRST_USE].seen < DECISION.sufficiency.learning_first_uses

    def compare_always_active(
        self, age: int, counts: ModelCounts, reported: Mask
    ) -> list[tuple[int, int, float]]:
        """Accounts at risk, first uses seen and expected per band, of the accounts that are always active.

        Parameters
        ----------
        age
            Buckets since the release.
        reported
            Sets that touch a group which is already reported, (sets,). They are left out. Sets of groups that
            only stand out stay in: a campaign in many small groups stands out in each and may be reported in
            none.
        """
        at_risk, events = (
            table[FIRST_USE][~reported].sum(axis=0) for table in (counts.at_risk, counts.events)
        )
        return self.always_active.update(age, at_risk, events)

    def expect(
        self, kind: int, counts: ModelCounts, flagged: Mask, flagged_cohorts: Mask, own_newcomers: Ints
    ) -> TypeExpectation:
        """Take one type of event of one bucket.

        Parameters
        ----------
        kind
            Index into `EVENT_TYPES`.
        flagged
            Sets that touch a flagged group, (sets,). They are kept out of the hazard.
        flagged_cohorts
            Cohorts that are flagged as a whole, (cohorts,).
        own_newcomers
            Newcomers of each group before this bucket, and their events, (groups, 2).
        """
        at_risk, events = counts.at_risk[kind] * ~NEWCOMER_COHORTS, counts.events[kind] * ~NEWCOMER_COHORTS
        group_risk, group_events = counts.by_group(at_risk), counts.by_group(events)
        total_risk, total_events = at_risk[~flagged].sum(axis=0), events[~flagged].sum(axis=0)
        outside_risk = total_risk - counts.by_group(at_risk, ~flagged)
        outside_events = (total_events - counts.by_group(events, ~flagged))[:, ~flagged_cohorts].sum(axis=1)
        result = self.hazards[kind].update(
            total_risk,
            total_events,
            group_risk,
            outside_risk,
            outside_events,
            flagged_cohorts=flagged_cohorts,
            relative_chance=self.always_active.relative_chance,
        )
        newcomers, newcomer_events, newcomers_expected = self._expect_newcomers(kind, counts, own_newcomers)
        return TypeExpectation(
            hazard=result.hazard,
            seen=group_events.sum(axis=1) + newcomer_events,
            expected=result.expected + newcomers_expected,
            always_seen=group_events[:, SETTLED_COHORTS].sum(axis=1),
            always_expected=result.always_active,
            newcomers=newcomers,
            newcomer_events=newcomer_events,
            at_risk=group_risk.sum(axis=1) + newcomers,
        )

    def remember(self, bucket: int, hazard: float) -> None:
        """Keep the hazard of first uses of a scored bucket for a day, for what comes late of it."""
        self.recent = [row for row in self.recent if row[0] >= bucket - self._kept]
        self.recent.append((bucket, hazard))

    def expect_late(self, bucket: int, counts: ModelCounts) -> tuple[Ints, Ints, Floats]:
        """First uses that came late of a scored bucket: accounts at risk, S and E of each group.

        All are 0 when the bucket was not scored or is more than a day ago.
        """
        hazard = next((hazard for scored, hazard in self.recent if scored == bucket), None)
        at_risk, events = (counts.by_group(table[FIRST_USE]) for table in (counts.at_risk, counts.events))
        if hazard is None:
            return np.zeros(len(at_risk), np.int64), np.zeros(len(at_risk), np.int64), np.zeros(len(at_risk))
        pace = self.hazards[FIRST_USE].pace
        expected = weigh(at_risk * ~NEWCOMER_COHORTS, pace) * hazard
        new = at_risk[:, NEWCOMER_COHORTS].sum(axis=1)
        none = np.zeros(len(new), dtype=np.int64)
        expected = expected + self.newcomers[FIRST_USE].expected(new, none, none)
        return at_risk.sum(axis=1), events.sum(axis=1), expected

    def _expect_newcomers(self, kind: int, counts: ModelCounts, own: Ints) -> tuple[Ints, Ints, Floats]:
        """Per group: accounts never seen before, their events, and the events expected of them."""
        at_risk, events = (
            table[kind][:, NEWCOMER_COHORTS].sum(axis=1, keepdims=True)
            for table in (counts.at_risk, counts.events)
        )
        group_risk, group_events = (counts.by_group(values)[:, 0] for values in (at_risk, events))
        expected = self.newcomers[kind].expected(group_risk, own[:, 0], own[:, 1])
        self.newcomers[kind].update(int(at_risk.sum()), int(events.sum()))
        return group_risk, group_events, expected

    def snapshot(self) -> dict[str, Any]:
        """State, JSON-able."""
        return {
            "hazards": [hazard.snapshot() for hazard in self.hazards],
            "newcomers": [[clock.risk, clock.events] for clock in self.newcomers],
            "always_active": self.always_active.slow_means,
            "recent": self.recent,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where `snapshot` was taken."""
        for hazard, values in zip(self.hazards, state["hazards"], strict=True):
            hazard.restore(values)
        self.newcomers = tuple(NewcomerHazard(*row) for row in state["newcomers"])
        self.recent = [(bucket, hazard) for bucket, hazard in state["recent"]]
        self.always_active.slow_means = tuple(state["always_active"]) if state["always_active"] else None
