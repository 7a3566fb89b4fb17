r"""Finds a campaign that no group holds together: accounts that are always active and move faster than
others.

Accounts of such a campaign are spread over everybody's networks and have nothing in common but when they
move, so they are a small part of every group. But extraction runs around the clock, and few honest accounts
are active bucket after bucket.

What an honest account decides, it decides in its own time, whether it sends a request then or not. The
decision shows at its next activity. So the chance that an activity is the first use grows with the time since
the activity before. Accounts that were active in the bucket before too are compared with accounts that were
not:

.. math:: E = A \cdot \frac{\sum F_l + 3}{\sum_l R_l\,a_l + 3 / \bar h},

with :math:`A` always-active accounts of one band of volume, :math:`R_l` other accounts at risk with exposure
:math:`l` (`pivotwatch_models.population.cohorts`), :math:`F_l` their first uses, :math:`a_l` the buckets
since they were last active (at most since the release), and :math:`\bar h` a slow mean of
:math:`\sum F_l / \sum_l R_l\,a_l`. Each band is then a group with its own e-detector, under the configured
limit θ₀. Accounts of reported groups and newcomers are left out. A band is not scored in a bucket in which
the others have less than a fifth of the time of its always-active accounts.

When something moves everybody at once (an outage with fallback), every activity has the same chance. So the
expectation is at least that of equal chances while the others' first uses per account at risk exceed twice
their slow mean by more than two standard deviations.

**Masking.** A campaign may be most of all accounts that are always active. Its pace is then the pace that its
own networks are compared with. So while a band is flagged (its W is over its limit), its accounts are kept
out of the population's hazard. They are expected to move like an average other account, times
:math:`\sum R_l / \sum_l R_l\,a_l` (`AlwaysActiveHazard.relative_chance`; 1 while every activity has the same
chance).

A band names no members: the record of a bucket does not say which accounts with an event were always active.

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
"""Buckets since the last activity, by level of exposure; levels below 4 are filled in per bucket."""
_PAUSING = ~np.isin(np.arange(EXPOSURES), (NEW, ALWAYS_ACTIVE))

ALWAYS_ACTIVE_GROUPS: list[Group] = [(POPULATION, f"always active, {name}") for name in BAND_NAMES]


class AlwaysActiveHazard:
    """Expected first uses of accounts that are always active, for one release.

    Attributes
    ----------
    slow_means
        Slow means of the others' first uses per account at risk and per bucket of their time; None before the
        first bucket.
    relative_chance
        Chance that an activity of an always-active account is its first use, over that of an average other
        account, in the bucket taken last.

    Examples
    --------
    100 accounts are active every hour, 1,000 others had been away for about six hours. Ten of each used the
    model for the first time. The others made 10 decisions in 6,000 hours, so 100 hours let one expect 0.167:

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
        """Take one bucket; returns accounts at risk (0: not judged), first uses seen and expected per band.

        Parameters
        ----------
        age
            Buckets since the release.
        risk, events
            Accounts at risk and first uses without those of reported groups, (cohorts,).
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
        """Expected first uses of one always-active account, from the others: at risk, first uses, time."""
        now = moved / max(1, accounts), moved / max(1.0, time)
        per_activity, per_time = self.slow_means or now
        most = _ALWAYS.surge_ratio * per_activity * accounts
        surge = moved > most + _ALWAYS.surge_deviations * math.sqrt(most)
        slow, prior = _ALWAYS.slow, _ALWAYS.prior
        self.slow_means = slow * per_activity + (1 - slow) * now[0], slow * per_time + (1 - slow) * now[1]
        self.relative_chance = 1.0 if surge or not accounts else accounts / time
        rate = (moved + prior) / (time + prior / per_time) if per_time > 0 else now[1]
        return max(rate, now[0]) if surge else rate
