r"""How far the paces of ordinary groups differ, measured on the release itself.

Networks differ: some are of developers, some of people who change slowly. The spread of their ratios
:math:`r_g = S_g / E_g` of observed to expected events says what is normal. It is learned from all groups of
the watch so far, in three steps, each from what was known before the bucket:

* The **typical ratio** :math:`m` is the median of :math:`(S_g + 1)/(E_g + 1)`, weighted by :math:`E_g`, at
  most 1. A campaign that is a good part of all events raises everyone's expectation, but not the median.
  (Groups far over it that hold more than a third of the expected events are not an exception: then
  :math:`m = 1`.)
* A group is an **outlier** when :math:`S_g \ge 2 m E_g` and :math:`(S_g - m E_g)/\sqrt{m E_g + 0.5}` is at
  least 2 for a network, 4 for other kinds. Outliers are kept out of the population's hazard, so that they
  cannot mask themselves. Sign-up batches and payment instruments are strata of age and company: leaving them
  out as soon would leave nobody to learn the pace of new accounts from.
* The **spread** :math:`\sigma` of the others beyond chance, by moments, with its standard error,

  .. math:: \sigma^2 = \frac{\sum_g \bigl[(S_g - E_g)^2 - E_g\bigr]}{\sum_g E_g^2}, \qquad
      \epsilon = \frac{\sqrt{\sum_g (2 E_g^2 + E_g)}}{\sum_g E_g^2},

  is measured for all groups and for each kind. The value in
  :math:`[\sigma^2 - 5\epsilon, \sigma^2 + \epsilon]` nearest to the usual :math:`0.5^2` counts. The normal
  limit is :math:`\theta_0 = e^{1.4\,\sigma}`, the larger of both, between 1.5 and the configured limit: 92 of
  100 ordinary groups are slower. It starts at 2, falls with what is learned, and rises when the data leave no
  doubt.

So 8 of 100 ordinary groups of a large population are faster than :math:`\theta_0`, and would be found sooner
or later. Hence the *surprise*: how improbable are the events since the onset when the group has a pace of its
own for good? With a gamma variable of mean one and variance :math:`\sigma^2 = 1/a` for the pace, Chernoff's
bound for the negative binomial distribution is

.. math:: P(S' \ge S) \le e^{-I}, \qquad I = S \ln\frac{S}{E} - (a + S) \ln\frac{a + S}{a + E}.

:math:`\sigma` is at least the usual one here: the fastest of a thousand groups are further off than the
spread of the others predicts. `pivotwatch_models.groups.report_rule` uses :math:`I`.

References
----------
Moments: N. E. Breslow, Extra-Poisson variation in log-linear models, JRSS C 33 (1984). Masking: P. J.
Rousseeuw, A. M. Leroy, Robust regression and outlier detection (1987).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from pivotwatch_models.base.arrays import Floats, Mask
from pivotwatch_models.base.counts import Group
from pivotwatch_models.method import STATE

_SPREAD = STATE.heterogeneity
_CONTINUITY = STATE.residual.continuity
_MOST_LOG_THETA = 50.0
"""Keeps e to its power a number; the configured limit is far below."""


@dataclasses.dataclass(frozen=True, slots=True)
class GroupHeterogeneity:
    """What is normal among the groups of one watch.

    Attributes
    ----------
    typical
        m: typical ratio of observed to expected events, at most 1.
    overall
        θ₀ from the spread of all groups, before any bound.
    by_kind
        θ₀ from the spread of one kind of group.

    Examples
    --------
    40 networks move as expected, within chance, and one moves four times as fast:

    >>> groups = {("network", f"AS{i}"): (19 + i % 3, 20.0) for i in range(40)}
    >>> spread = measure(groups | {("network", "campaign"): (80, 20.0)}, set())
    >>> spread.typical, spread.theta("network", most=3.0)
    (1.0, 1.5)
    >>> spread.is_outlier("network", 80, 20.0), spread.is_outlier("network", 25, 20.0)
    (True, False)
    """

    typical: float = 1.0
    overall: float = _SPREAD.usual_theta
    by_kind: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def theta(self, kind: str, most: float) -> float:
        """Normal limit θ₀ of a kind of group, between 1.5 and ``most``."""
        spread = max(self.overall, self.by_kind.get(kind, 0.0))
        return min(most, max(_SPREAD.least_theta, spread))

    def surprise(self, kind: str, seen: int, expected: float, most: float) -> float:
        """I: nats by which so many events are improbable for an ordinary group with a pace of its own.

        Parameters
        ----------
        kind
            Kind of group.
        seen, expected
            Events since the onset.
        most
            The configured limit of θ₀.

        Examples
        --------
        Twice as many events as expected are little evidence even when they are many. Ten times as many are
        strong evidence:

        >>> round(GroupHeterogeneity().surprise("network", 80, 40.0, most=3.0), 1)
        1.2
        >>> round(GroupHeterogeneity().surprise("network", 40, 4.0, most=3.0), 1)
        17.3
        """
        if seen <= expected:
            return 0.0
        shape = (_SPREAD.quantile / math.log(max(_SPREAD.usual_theta, self.theta(kind, most)))) ** 2
        own = (shape + seen) * math.log((shape + seen) / (shape + expected))
        return seen * math.log(seen / max(expected, _SPREAD.least_expected)) - own

    def is_outlier(self, kind: str, seen: int, expected: float) -> bool:
        """Whether a group with these sums over the watch is kept out of the population's hazard."""
        usual = self.typical * expected
        excess = (seen - usual) / math.sqrt(usual + _CONTINUITY)
        of_network, of_other = _SPREAD.outlier_excess_network, _SPREAD.outlier_excess_other
        least = of_network if kind == "network" else of_other
        return seen >= _SPREAD.outlier_ratio * usual and excess >= least


def measure(sums: Mapping[Group, tuple[int, float]], flagged: set[Group]) -> GroupHeterogeneity:
    """Measure how far groups differ, from their events so far.

    Parameters
    ----------
    sums
        Observed and expected events of each group.
    flagged
        Groups that their detector flags. They say nothing about ordinary groups.
    """
    # The order follows from the numbers alone: sums of floats must not depend on the past.
    rows = sorted((s, e, g[0], g in flagged) for g, (s, e) in sums.items() if e >= _SPREAD.least_expected)
    if not rows:
        return GroupHeterogeneity()
    seen, expected = np.array([[s, e] for s, e, _, _ in rows], dtype=float).T
    kind = np.array([k for _, _, k, _ in rows])
    typical = min(1.0, _weighted_median((seen + 1) / (expected + 1), expected))
    too_fast = _too_fast(seen, typical * expected)
    if expected[too_fast].sum() > _SPREAD.most_exceptions * expected.sum():
        # So many groups are not an exception: ordinary groups differ that much.
        typical, too_fast = 1.0, np.zeros(len(rows), dtype=bool)
    ordinary = ~too_fast & ~np.array([f for _, _, _, f in rows])
    if not ordinary.any():
        return GroupHeterogeneity(typical)
    # The groups that are left are compared with their own mean.
    level = seen[ordinary].sum() / expected[ordinary].sum()
    kinds = {str(k): ordinary & (kind == k) for k in np.unique(kind)}
    return GroupHeterogeneity(
        typical,
        _theta(seen[ordinary], level * expected[ordinary]),
        {k: _theta(seen[rows], level * expected[rows]) for k, rows in kinds.items() if rows.any()},
    )


def _theta(seen: Floats, expected: Floats) -> float:
    weight = float((expected**2).sum())
    if weight == 0:
        return _SPREAD.usual_theta
    beyond = float(((seen - expected) ** 2 - expected).sum())
    error = math.sqrt(float((2 * expected**2 + expected).sum()))
    usual = (math.log(_SPREAD.usual_theta) / _SPREAD.quantile) ** 2
    variance = min(max(usual, (beyond - _SPREAD.sure * error) / weight), (beyond + error) / weight)
    return math.exp(min(_MOST_LOG_THETA, _SPREAD.quantile * math.sqrt(max(0.0, variance))))


def _too_fast(seen: Floats, usual: Floats) -> Mask:
    excess = (seen - usual) / np.sqrt(usual + _CONTINUITY)
    fast: Mask = (seen >= _SPREAD.too_fast_ratio * usual) & (excess >= _SPREAD.too_fast_excess)
    return fast


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.lexsort((weights, values))
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
