r"""A campaign that no group holds together: do accounts that are always there move faster than time explains?

Accounts spread over everybody's networks, with nothing in common but when they move, are a small part of
every group. But extraction runs round the clock, and the accounts that are active bucket after bucket
are few. What an honest account decides, it decides in its own time, whether it sends a request then or
not, and it shows at its next activity. So the chance that an activity is the first use grows with the
time since the activity before. The accounts that were active in the bucket before too are held against
all others:

.. math:: E = A \cdot \frac{\sum F - S + 20\,\bar h}{\sum_l R_l\,a_l - A + 20},

with :math:`R_l` accounts at risk of exposure :math:`l` (`models.cohort`), :math:`a_l` the buckets since they
were last active (since the release at most), and :math:`A` the same sum over the steady ones, of one band of
volume, which had :math:`S` first uses; :math:`\bar h` is a slow mean of :math:`\sum F / \sum_l R_l\,a_l`. The
rest is the group e-detector with the configured θ₀. Accounts of flagged groups are left out, and those never
seen before. Where the others have less time than the steady ones there is nobody to hold them against, and
nothing is concluded.

When something moves everybody at once (an outage with fallback) the chance is the same for every
activity. So while the first uses per account at risk are over twice their slow mean, the expectation is
at least that of equal chances.

There are no members to name: the bucket's record does not say who of the movers was steady.

References
----------
Interval-censored events: J. F. Lawless, Statistical models and methods for lifetime data (2003), 3.5.
"""

from __future__ import annotations

import numpy as np

from models.cohort import BAND_NAMES, EXPOSURES, STEADY
from models.counts import Group, Ints

KIND = "population"
NEW = 0
_AWAY = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 2.5, 6.0, 16.0, 48.0])
"""Buckets since the last activity, by exposure; of the first activity since the release, its age."""
SURGE, SLOW, PSEUDO = 2.0, 0.9, 20.0

GROUPS: list[Group] = [(KIND, f"always active, {name}") for name in BAND_NAMES]


class SteadyClock:
    """What to expect of accounts that are always there.

    Examples
    --------
    A hundred accounts are active every hour, a thousand others had been away for about six hours. Ten of
    each moved:

    >>> clock = SteadyClock()
    >>> risk, events = np.zeros((2, 3, 2, EXPOSURES), dtype=int)
    >>> risk[1, 0, 4], risk[1, 0, 6], events[1, 0, 4], events[1, 0, 6] = 100, 1000, 10, 10
    >>> clock.update(20, risk.ravel(), events.ravel())
    [(0, 0, 0.0), (100, 10, 0.16720222210119273), (0, 0, 0.0)]
    """

    version = 1

    def __init__(self) -> None:
        self.slow: tuple[float, float] | None = None

    def update(self, age: int, risk: Ints, events: Ints) -> list[tuple[int, int, float]]:
        """Take one bucket: steady accounts at risk (0: not to be judged), events seen and expected, per band.

        Parameters
        ----------
        age
            Buckets since the release.
        risk, events
            Accounts at risk and first uses per cohort, without flagged groups, (cohorts,).
        """
        at_risk = risk.reshape(-1, 2, EXPOSURES).sum(axis=1)
        first = events.reshape(-1, 2, EXPOSURES).sum(axis=1)
        at_risk, first = at_risk.copy(), first.copy()
        at_risk[:, NEW] = first[:, NEW] = 0
        away = np.minimum(_AWAY, max(1, age))
        away[1:STEADY] = max(1, age)
        everyone, moved = int(at_risk.sum()), int(first.sum())
        time = sum(float((row * away).sum()) for row in at_risk)
        now = moved / max(1, everyone), moved / max(1.0, time)
        per_activity, per_time = self.slow or now
        surge = now[0] > SURGE * per_activity
        self.slow = SLOW * per_activity + (1 - SLOW) * now[0], SLOW * per_time + (1 - SLOW) * now[1]
        out = []
        for own_risk, own in zip(at_risk[:, STEADY].tolist(), first[:, STEADY].tolist(), strict=True):
            if time - own_risk < own_risk:
                out.append((0, own, float(own)))
                continue
            expected = own_risk * (moved - own + PSEUDO * per_time) / (time - own_risk + PSEUDO)
            if surge:
                expected = max(expected, own_risk * (moved - own) / max(1, everyone - own_risk))
            out.append((own_risk, own, expected))
        return out
