r"""Normal limit θ₀ of a group, learnt from its earlier watches.

Some networks always move first (developers), some always last. Once a group has lived through a watch, its
own ratio of observed to expected events is known:

.. math::

    \theta_{0,g} = \frac{\nu + S'}{\nu + E'} + 1.645\,\frac{\sqrt{\nu + S'}}{\nu + E'},
    \qquad \nu = 2,

clipped to [1.5, 6]: an upper 95 % bound of a Poisson ratio. :math:`S', E'` are the observed and expected
events of closed watches, both types together, halved at the close of each watch. Events of incidents that
nobody judged benign are left out (`pivotwatch_models.incidents.alerted_events`), so that a campaign does not
teach its own pace.
"""

from __future__ import annotations

import dataclasses
import math

from pivotwatch_models.method import STATE

_THETA = STATE.taught_theta


@dataclasses.dataclass(slots=True)
class LearntTheta:
    """Observed and expected events over the closed watches of one group.

    Attributes
    ----------
    seen, expected
        S′ and E′.
    watches
        Number of closed watches.

    Examples
    --------
    A group that moved exactly as expected gets the lowest limit, one without events a wide one:

    >>> theta = LearntTheta()
    >>> theta.value(default=3.0)
    3.0
    >>> theta.close_watch(seen=40, expected=40.0)
    >>> round(theta.value(default=3.0), 2)
    1.5
    >>> unseen = LearntTheta()
    >>> unseen.close_watch(seen=0, expected=0.0)
    >>> round(unseen.value(default=3.0), 2)
    2.16
    """

    seen: float = 0.0
    expected: float = 0.0
    watches: int = 0

    def close_watch(self, seen: float, expected: float) -> None:
        """Add the sums of a watch that ended, then halve the totals."""
        self.seen = _THETA.kept * (self.seen + seen)
        self.expected = _THETA.kept * (self.expected + expected)
        self.watches += 1

    def value(self, default: float) -> float:
        """θ₀ of the group; ``default`` before the first watch has closed."""
        if self.watches == 0:
            return default
        events, exposure = _THETA.prior + self.seen, _THETA.prior + self.expected
        bound = (events + _THETA.confidence * math.sqrt(events)) / exposure
        return min(_THETA.highest, max(_THETA.lowest, bound))
