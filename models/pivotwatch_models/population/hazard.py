r"""The population's hazard: the chance per bucket that an account at risk has its event.

At a launch everybody moves, in waves that no model of the past predicts: a default alias moves everyone
within the hour. So the expectation for a group comes from the rest of the population *in the same bucket*.
For one release and one type of event, per bucket:

* cohort :math:`c` has a relative pace :math:`m_c = (2 + \tilde F_c) / (2 + \tilde X_c)`: its events over its
  expected events, both decayed and from before the bucket;
* :math:`\tilde Y_g = \sum_c m_c Y_{gc}` counts the accounts of group :math:`g` at risk, weighted by pace;
* the hazard without the group is

  .. math:: h_{-g} = \frac{\sum F + 20\,\bar h}{\sum \tilde Y + 20}

  over all sets of groups that touch neither :math:`g` nor a flagged group, with
  :math:`\bar h \leftarrow 0.8\,\bar h + 0.2\,h` a slow mean from before the bucket.

The group then has :math:`S = F_g` observed events where :math:`E = \tilde Y_g\,h_{-g}` are expected.

References
----------
Events over accounts at risk, stratified: D. R. Cox, Regression models and life-tables, JRSS B 34 (1972).
Leaving the group out keeps it from explaining itself.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from pivotwatch_models.base.arrays import Floats, Ints, Mask
from pivotwatch_models.method import STATE
from pivotwatch_models.population.cohorts import ALWAYS_ACTIVE_COHORTS, COHORTS, SETTLED_COHORTS

NOBODY = np.zeros(COHORTS, dtype=bool)
_HAZARD = STATE.hazard


@dataclasses.dataclass(frozen=True, slots=True)
class Expectation:
    """Result of one bucket.

    Attributes
    ----------
    hazard
        h over the sets without a flagged group.
    expected
        E of each group, (groups,).
    always_active
        The part of E that comes from settled accounts that are always active, (groups,).
    """

    hazard: float
    expected: Floats
    always_active: Floats


class PopulationHazard:
    """Hazard of one type of event for one release.

    Parameters
    ----------
    decay
        Factor by which the sums of the cohorts decay per bucket (`Settings.decay`).

    Attributes
    ----------
    events, expected
        Decayed events and expected events per cohort, (cohorts,).
    slow_hazard
        Slow mean of the hazard; None before the first bucket.
    seen
        Events so far, outside flagged groups.

    Examples
    --------
    10 of 1,000 accounts of one cohort have the event. A group holds 100 of them. The other 900 accounts had 9
    events, so one event of the group is expected:

    >>> clock = PopulationHazard(decay=0.995)
    >>> risk, events = np.zeros(COHORTS, dtype=int), np.zeros(COHORTS, dtype=int)
    >>> risk[3], events[3] = 1000, 10
    >>> group = risk[None] // 10
    >>> result = clock.update(risk, events, group, outside_risk=risk - group, outside_events=np.array([9]))
    >>> round(result.hazard, 4), result.expected.round(2).tolist()
    (0.01, [1.0])
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.events = np.zeros(COHORTS)
        self.expected = np.zeros(COHORTS)
        self.slow_hazard: float | None = None
        self.seen = 0

    @property
    def pace(self) -> Floats:
        """Relative pace m_c of every cohort, (cohorts,)."""
        return (_HAZARD.prior + self.events) / (_HAZARD.prior + self.expected)

    def update(
        self,
        risk: Ints,
        events: Ints,
        group_risk: Ints,
        outside_risk: Ints,
        outside_events: Ints,
        *,
        flagged_cohorts: Mask = NOBODY,
        relative_chance: float = 1.0,
    ) -> Expectation:
        """Take one bucket. All counts are integers, so their sums do not depend on any order.

        Parameters
        ----------
        risk, events
            Accounts at risk and events over the sets without a flagged group, (cohorts,).
        group_risk
            Accounts at risk of each group, (groups, cohorts).
        outside_risk, outside_events
            Per group, over the sets that touch neither it nor a flagged group: (groups, cohorts), (groups,).
        flagged_cohorts, relative_chance
            Cohorts that are flagged as a whole, (cohorts,), and their assumed pace as a multiple of the mean
            pace of the accounts that pause, if any of those is at risk. Flagged cohorts are in nobody's
            hazard.
        """
        risk, events, outside_risk = (
            risk * ~flagged_cohorts,
            events * ~flagged_cohorts,
            outside_risk * ~flagged_cohorts,
        )
        pace = self.pace
        others = risk * ~ALWAYS_ACTIVE_COHORTS
        if flagged_cohorts.any() and others.any():
            pace[flagged_cohorts] = relative_chance * weigh(others[None], pace)[0] / others.sum()
        total, pseudo_risk, slow = int(events.sum()), _HAZARD.pseudo_risk, _HAZARD.slow
        weight = weigh(risk[None], pace)[0]
        if self.slow_hazard is None:
            hazard = float(total / weight) if weight > 0 else 0.0
            self.slow_hazard = hazard
        else:
            hazard = float((total + pseudo_risk * self.slow_hazard) / (weight + pseudo_risk))
        without = (outside_events + pseudo_risk * self.slow_hazard) / (
            weigh(outside_risk, pace) + pseudo_risk
        )
        expected = weigh(group_risk, pace) * without
        always_active = weigh(group_risk * SETTLED_COHORTS, pace) * without
        self.slow_hazard = slow * self.slow_hazard + (1 - slow) * hazard
        self.events = self.decay * self.events + events
        self.expected = self.decay * self.expected + risk * pace * hazard
        self.events[flagged_cohorts] = self.expected[flagged_cohorts] = (
            0.0  # What was learned from them was not normal.
        )
        self.seen += total
        return Expectation(hazard, expected, always_active)

    def snapshot(self) -> list[object]:
        """Compact state, JSON-able."""
        return [self.events.tolist(), self.expected.tolist(), self.slow_hazard, self.seen]

    def restore(self, state: list[object]) -> None:
        """Continue exactly where `snapshot` was taken."""
        events, expected, self.slow_hazard, self.seen = state  # type: ignore[assignment]  # JSON
        self.events, self.expected = np.array(events, dtype=float), np.array(expected, dtype=float)


def weigh(risk: Ints, pace: Floats) -> Floats:
    """Σ_c m_c Y_c per row, added in the order of c: a matrix product may add in another order."""
    total = np.zeros(len(risk))
    for c in range(COHORTS):
        total += pace[c] * risk[:, c]
    return total
