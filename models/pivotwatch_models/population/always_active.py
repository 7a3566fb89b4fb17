r"""A campaign that no group holds together: do accounts that are always there move faster than time explains?

Accounts spread over everybody's networks, with nothing in common but when they move, are a small part of
every group. But extraction runs round the clock, and the accounts that are active bucket after bucket
are few. What an honest account decides, it decides in its own time, whether it sends a request then or
not, and it shows at its next activity. So the chance that an activity is the first use grows with the
time since the activity before. The accounts that were active in the bucket before too are held against
those that were not:

.. math:: E = A \cdot \frac{\sum F_l + 3}{\sum_l R_l\,a_l + 3 / \bar h},

with :math:`A` steady accounts of one band of volume, :math:`R_l` others at risk of exposure :math:`l`
(`pivotwatch_models.population.cohorts`), :math:`F_l` their first uses, :math:`a_l` the buckets since they
were last active (since
the release at most), and :math:`\bar h` a slow mean of :math:`\sum F_l / \sum_l R_l\,a_l`. The rest is the
group e-detector with the configured θ₀. Accounts of named groups are left out, and those never seen before.
Where the others have less than a fifth of the time of the steady ones there is nobody to hold them against,
and nothing is concluded.

When something moves everybody at once (an outage with fallback) the chance is the same for every activity. So
while the first uses of the others per account at risk are over twice their slow mean, by more than two
standard deviations, the expectation is at least that of equal chances.

**Masking.** A campaign may be most of all that is always there; then it is the pace that its own networks are
held against. So while the steady accounts of a band stand out (their CUSUM copy is over its line) they are
kept out of the population's hazard, as a flagged group is, and what to expect of a steady account is what an
average one of the others lets expect, times :math:`\sum R_l / \sum_l R_l\,a_l`
(`AlwaysActiveHazard.relative_chance`; 1 while
the chance is the same for every activity).

There are no members of such a band to name: the bucket's record does not say who of the movers was steady.

References
----------
Interval-censored events: J. F. Lawless, Statistical models and methods for lifetime data (2003), 3.5.
"""

from __future__ import annotations

import math

import numpy as np

from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.base.counts import Group
from pivotwatch_models.method import STATE
from pivotwatch_models.population.cohorts import ALWAYS_ACTIVE, BAND_NAMES, EXPOSURES

POPULATION = "population"
NEW = 0
_ALWAYS = STATE.always_active
_AWAY = np.array([*[0.0] * ALWAYS_ACTIVE, *_ALWAYS.away])
"""Buckets since the last activity, by exposure; of the first activity since the release, its age."""
_PAUSING = ~np.isin(np.arange(EXPOSURES), (NEW, ALWAYS_ACTIVE))

ALWAYS_ACTIVE_GROUPS: list[Group] = [(POPULATION, f"always active, {name}") for name in BAND_NAMES]


class AlwaysActiveHazard:
    """What to expect of accounts that are always there.

    Attributes
    ----------
    relative_chance
        By the bucket last taken: the chance that an activity of a steady account is the first use, as a part
        of that of the average other account.

    Examples
    --------
    A hundred accounts are active every hour, a thousand others had been away for about six hours. Ten of
    each moved:

    >>> clock = AlwaysActiveHazard()
    >>> risk, events = np.zeros((2, 3, 2, EXPOSURES), dtype=int)
    >>> risk[1, 0, 4], risk[1, 0, 6], events[1, 0, 4], events[1, 0, 6] = 100, 1000, 10, 10
    >>> at_risk, seen, expected = clock.update(20, risk.ravel(), events.ravel())[1]
    >>> at_risk, seen, round(expected, 3)
    (100, 10, 0.167)
    """

    def __init__(self) -> None:
        self.slow_means: tuple[float, float] | None = None
        self.relative_chance = 1.0

    def update(self, age: int, risk: Ints, events: Ints) -> list[tuple[int, int, float]]:
        """Take one bucket: steady accounts at risk (0: not to be judged), events seen and expected, per band.

        Parameters
        ----------
        age
            Buckets since the release.
        risk, events
            Accounts at risk and first uses per cohort, without named groups, (cohorts,).
        """
        at_risk, first = (table.reshape(-1, 2, EXPOSURES).sum(axis=1) for table in (risk, events))
        away = np.minimum(_AWAY, max(1, age))
        away[1:ALWAYS_ACTIVE] = max(1, age)
        accounts, moved = int(at_risk[:, _PAUSING].sum()), int(first[:, _PAUSING].sum())
        time = float((at_risk[:, _PAUSING] @ away[_PAUSING]).sum())
        rate = self._rate(accounts, moved, time)
        judged = [n if time >= _ALWAYS.least_time * n else 0 for n in at_risk[:, ALWAYS_ACTIVE].tolist()]
        return [
            (n, own, rate * n if n else float(own))
            for n, own in zip(judged, first[:, ALWAYS_ACTIVE].tolist(), strict=True)
        ]

    def _rate(self, accounts: int, moved: int, time: float) -> float:
        """First uses to expect of a steady account, by the others: at risk, first uses, time."""
        now = moved / max(1, accounts), moved / max(1.0, time)
        per_activity, per_time = self.slow_means or now
        most = _ALWAYS.surge_ratio * per_activity * accounts
        surge = moved > most + _ALWAYS.surge_deviations * math.sqrt(most)
        slow, prior = _ALWAYS.slow, _ALWAYS.prior
        self.slow_means = slow * per_activity + (1 - slow) * now[0], slow * per_time + (1 - slow) * now[1]
        self.relative_chance = 1.0 if surge or not accounts else accounts / time
        rate = (moved + prior) / (time + prior / per_time) if per_time > 0 else now[1]
        return max(rate, now[0]) if surge else rate
