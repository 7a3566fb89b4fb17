r"""The population clock: the hazard at which everyone else moves, in the same bucket.

At a launch everybody moves, in waves that no model of the past predicts: a default alias takes
everyone within the hour. So the expectation for a group is taken from the rest of the population
*in the same bucket*. For one release and one type of event, per bucket:

* cohort :math:`c` has a relative pace :math:`m_c = (2 + \tilde F_c) / (2 + \tilde X_c)`, its decayed
  events over its decayed expectation (from before the bucket);
* :math:`\tilde R_g = \sum_c m_c R_{gc}` is the risk set of group :math:`g`, weighted by pace;
* the hazard without the group is

  .. math:: h_{-g} = \frac{\sum F + 20\,\bar h}{\sum \tilde R + 20}

  over all sets of groups that touch neither :math:`g` nor a flagged group, with
  :math:`\bar h \leftarrow 0.8\,\bar h + 0.2\,h` a slow mean from before the bucket.

The group then has :math:`S = F_g` events where :math:`E = \tilde R_g\,h_{-g}` were expected.

References
----------
The counting-process view (events over risk sets, stratified) is that of D. R. Cox (1972), Regression
models and life-tables, JRSS B 34; leaving the group out keeps it from explaining itself.
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
    """What one bucket says: the hazard of the unflagged, and the events expected per group."""

    hazard: float
    expected: Floats
    always_active: Floats


class PopulationHazard:
    """Hazard of one type of event for one release.

    Parameters
    ----------
    decay
        Decay of the cohort sums per bucket (``Settings.decay``).

    Examples
    --------
    A thousand accounts of one cohort, ten of which move; a group of a hundred of them where one
    moved is expected to have moved at the pace of the other nine hundred:

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
        """m_c of every cohort."""
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
        """Take one bucket; integers in, so the order of accounts and partitions leaves no trace.

        Parameters
        ----------
        risk, events
            Accounts at risk and events per cohort over the sets without a flagged group, (cohorts,).
        group_risk
            Accounts at risk per group and cohort, (groups, cohorts).
        outside_risk, outside_events
            Per group, over the sets that touch neither it nor a flagged group: (groups, cohorts), (groups,).
        flagged_cohorts, relative_chance
            Cohorts that stand out as a whole, (cohorts,): they are in nobody's hazard, and expected to have
            that part of the mean pace of those who are not always there, if anybody else is at risk.
        """
        risk, events, outside_risk = (
            risk * ~flagged_cohorts,
            events * ~flagged_cohorts,
            outside_risk * ~flagged_cohorts,
        )
        pace = self.pace
        others = risk * ~ALWAYS_ACTIVE_COHORTS
        if flagged_cohorts.any() and others.any():
            pace[flagged_cohorts] = relative_chance * _weigh(others[None], pace)[0] / others.sum()
        total, pseudo_risk, slow = int(events.sum()), _HAZARD.pseudo_risk, _HAZARD.slow
        weight = _weigh(risk[None], pace)[0]
        if self.slow_hazard is None:
            hazard = float(total / weight) if weight > 0 else 0.0
            self.slow_hazard = hazard
        else:
            hazard = float((total + pseudo_risk * self.slow_hazard) / (weight + pseudo_risk))
        without = (outside_events + pseudo_risk * self.slow_hazard) / (
            _weigh(outside_risk, pace) + pseudo_risk
        )
        expected = _weigh(group_risk, pace) * without
        always_active = _weigh(group_risk * SETTLED_COHORTS, pace) * without
        self.slow_hazard = slow * self.slow_hazard + (1 - slow) * hazard
        self.events = self.decay * self.events + events
        self.expected = self.decay * self.expected + risk * pace * hazard
        self.events[flagged_cohorts] = self.expected[flagged_cohorts] = (
            0.0  # what was learnt of them was not ordinary
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


def _weigh(risk: Ints, pace: Floats) -> Floats:
    """Σ_c m_c R_c per row, always added in the order of c (a matrix product may not be)."""
    total = np.zeros(len(risk))
    for c in range(COHORTS):
        total += pace[c] * risk[:, c]
    return total
