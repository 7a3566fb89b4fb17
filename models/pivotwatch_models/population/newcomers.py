r"""How many accounts that were never seen before begin with the model at once.

Such accounts have no traffic that could shift, and a release attracts them: most of those that sign up for a
new model begin with it at once, however slowly everyone else moves. So newcomers are compared with newcomers,
not with the hazard of the bucket.

For one release and one type of event, let :math:`R` be the newcomers of all buckets so far and :math:`F`
those of them that had the event at once; :math:`R_g, F_g` are the part of group :math:`g`. If :math:`r`
newcomers of the group are active in this bucket, the expected number of events is

.. math:: E = r\,\frac{2 + F - F_g}{2 + R - R_g}.

Flagged groups stay in the sums: a batch of sign-ups is all of its hour's newcomers, so without flagged groups
nobody would be left to learn from. Before newcomers of other groups are known :math:`E = r`. A group cannot
have more such events than newcomers, so its newcomers cannot raise its score then.
"""

from __future__ import annotations

from pivotwatch_models.base.arrays import Floats, Ints
from pivotwatch_models.method import STATE

_PRIOR = STATE.newcomers.prior


class NewcomerHazard:
    """Chance that a newcomer has the event in its first bucket, for one type of event.

    Attributes
    ----------
    risk, events
        R and F: newcomers of everyone so far, and those of them that had the event at once.

    Examples
    --------
    60 of 100 newcomers began with the model, 9 of them among 10 newcomers of one group. Ten more newcomers of
    that group are expected to have 10 · (2 + 60 − 9) / (2 + 100 − 10) events:

    >>> import numpy as np
    >>> clock = NewcomerHazard()
    >>> clock.update(100, 60)
    >>> expected = clock.expected(np.array([10]), own_risk=np.array([10]), own_events=np.array([9]))
    >>> expected.round(2).tolist()
    [5.76]
    """

    def __init__(self, risk: int = 0, events: int = 0) -> None:
        self.risk, self.events = risk, events

    def expected(self, risk: Ints, own_risk: Ints, own_events: Ints) -> Floats:
        """Expected events of each group, from what newcomers of others did before this bucket, (groups,).

        Parameters
        ----------
        risk
            Newcomers of each group in this bucket, (groups,).
        own_risk, own_events
            R_g and F_g: the group's part of the sums, (groups,).
        """
        share: Floats = (_PRIOR + self.events - own_events) / (_PRIOR + self.risk - own_risk)
        return risk * share

    def update(self, risk: int, events: int) -> None:
        """Add one bucket: newcomers of everyone, and those of them that had the event."""
        self.risk += risk
        self.events += events
