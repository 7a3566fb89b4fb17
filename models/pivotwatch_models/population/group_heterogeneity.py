r"""How far apart the paces of ordinary groups lie, measured on the release itself.

Networks differ: some of developers, some of people who change slowly. How far their ratios
:math:`r_g = S_g / E_g` of events seen to expected spread says what is ordinary, and that is learnt from
all groups of the watch so far, in three steps, each from what was known before the bucket:

* the **typical ratio** :math:`m`: the median of :math:`(S_g + 1)/(E_g + 1)`, weighted by :math:`E_g`, at
  most 1. A campaign that is a good part of all that move raises everyone's expectation; it does not move
  the median. (When the groups far over it hold more than a third of the expectation they are no exception:
  then :math:`m = 1`.)
* who is **apart**: :math:`S_g \ge 2 m E_g` and :math:`(S_g - m E_g)/\sqrt{m E_g + 0.5} \ge 2` for a network,
  4 for other kinds. These are kept out of the population's hazard (masking). Sign-up batches and payment
  instruments are strata of age and company: leaving them out as soon would leave nobody to learn the pace
  of new accounts from.
* the **spread** :math:`\sigma` of the others beyond chance, by moments, with its standard error,

  .. math:: \sigma^2 = \frac{\sum_g \bigl[(S_g - E_g)^2 - E_g\bigr]}{\sum_g E_g^2}, \qquad
      \epsilon = \frac{\sqrt{\sum_g (2 E_g^2 + E_g)}}{\sum_g E_g^2},

  of all groups and of each kind apart; of :math:`[\sigma^2 - 5\epsilon, \sigma^2 + \epsilon]` what is nearest
  to the usual :math:`0.5^2`. :math:`\theta_0 = e^{1.4\,\sigma}`, the larger of both, between 1.5 and the
  configured one: 92 of 100 ordinary groups are slower. It starts at 2 and falls with what is learnt; it rises
  when the data leave no doubt.

So eight of a hundred ordinary groups of a large population are faster than :math:`\theta_0`, and would be
found sooner or later. Hence `surprise`: how improbable are the events since the onset when the group has a
pace of its own, for good? With a gamma variable of mean one and variance :math:`\sigma^2 = 1/a` for the pace,
Chernoff's bound for the negative binomial distribution is

.. math:: P(S' \ge S) \le e^{-I}, \qquad I = S \ln\frac{S}{E} - (a + S) \ln\frac{a + S}{a + E}.

:math:`\sigma` is the usual one at least: the fastest of a thousand groups are further off than the spread of
the others tells. No group is named on its pace before :math:`G e^{-I}`, the number of ordinary groups among
the :math:`G` watched that would be so fast, is under a half, and :math:`e^{-I}` under one in a hundred, for
all of its accounts or for those that are always there.

References
----------
N. E. Breslow, Extra-Poisson variation in log-linear models, JRSS C 33 (1984), for the moments. Masking:
P. J. Rousseeuw, A. M. Leroy, Robust regression and outlier detection (1987).
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
    """What is ordinary among the groups of one watch.

    Attributes
    ----------
    typical
        m, the typical ratio of events seen to expected, at most 1.
    overall
        θ₀ by the spread of all groups.
    by_kind
        The same of one kind of group.

    Examples
    --------
    Forty networks that move as expected, give or take chance, and one that does not:

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
        """θ₀ of a kind of group, at most the configured one."""
        spread = max(self.overall, self.by_kind.get(kind, 0.0))
        return min(most, max(_SPREAD.least_theta, spread))

    def surprise(self, kind: str, seen: int, expected: float, most: float) -> float:
        """I: nats by which so many events are improbable for a group with a pace of its own.

        Examples
        --------
        Twice as many as expected tell little when they are many, ten times as many tell much:

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
        """Is a group with these sums kept out of the population's hazard?"""
        usual = self.typical * expected
        excess = (seen - usual) / math.sqrt(usual + _CONTINUITY)
        of_network, of_other = _SPREAD.outlier_excess_network, _SPREAD.outlier_excess_other
        least = of_network if kind == "network" else of_other
        return seen >= _SPREAD.outlier_ratio * usual and excess >= least


def measure(sums: Mapping[Group, tuple[int, float]], flagged: set[Group]) -> GroupHeterogeneity:
    """The spread of groups by their events seen and expected so far.

    Parameters
    ----------
    sums
        Per group, events seen and expected.
    flagged
        Groups that stand out by their detector: they tell nothing about ordinary ones.
    """
    # In an order that follows from the numbers alone: sums of floats must not depend on the past.
    rows = sorted((s, e, g[0], g in flagged) for g, (s, e) in sums.items() if e >= _SPREAD.least_expected)
    if not rows:
        return GroupHeterogeneity()
    seen, expected = np.array([[s, e] for s, e, _, _ in rows], dtype=float).T
    kind = np.array([k for _, _, k, _ in rows])
    typical = min(1.0, _weighted_median((seen + 1) / (expected + 1), expected))
    too_fast = _too_fast(seen, typical * expected)
    if expected[too_fast].sum() > _SPREAD.most_exceptions * expected.sum():
        # So many are no exception: ordinary groups differ as much.
        typical, too_fast = 1.0, np.zeros(len(rows), dtype=bool)
    ordinary = ~too_fast & ~np.array([f for _, _, _, f in rows])
    if not ordinary.any():
        return GroupHeterogeneity(typical)
    # Those that are left, held against their own mean.
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
