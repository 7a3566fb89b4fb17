r"""Accounts never seen before: how many of them begin with the model?

They have no traffic that could shift, and a release draws them: of those that sign up for a new model most
begin with it at once, however slowly everyone else moves. So they are held against each other, not against
the hazard of the bucket. Of one release and type of event, with :math:`R` accounts never seen before and
:math:`F` events of theirs in all buckets so far, of which :math:`R_g, F_g` in group :math:`g`, that group's
:math:`r` in this bucket let one expect

.. math:: E = r\,\frac{2 + F - F_g}{2 + R - R_g}.

Flagged groups teach too: a batch of sign-ups is all of its hour's newcomers, so without them nobody would be
left to learn from. Before anything is known all are expected to begin with it, and nothing is concluded.
"""

from __future__ import annotations

from pivotwatch_models.base.arrays import Floats, Ints
from pivotwatch_models.method import STATE

_PRIOR = STATE.newcomers.prior


class NewcomerHazard:
    """How many of those never seen before have the event at once.

    Attributes
    ----------
    risk, events
        R and F of everyone.

    Examples
    --------
    Of a hundred newcomers sixty begin with the model; so do nine of ten of a group, which had ten before:

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
        """Events to expect of each group, from what the others did before this bucket.

        Parameters
        ----------
        risk
            Of each group, accounts never seen before, (groups,).
        own_risk, own_events
            What of R and F is the group's.
        """
        share: Floats = (_PRIOR + self.events - own_events) / (_PRIOR + self.risk - own_risk)
        return risk * share

    def update(self, risk: int, events: int) -> None:
        """Take everyone in one bucket."""
        self.risk += risk
        self.events += events
