"""Quantiles of the Poisson distribution: the range in which normal counts lie."""

from __future__ import annotations

import math

from pivotwatch_models.method import DECISION

LARGE = 400.0
"""Mean above which the normal distribution is exact to less than a count."""
_FIGURES = DECISION.figures


def band(expected: float, theta: float) -> tuple[int, int]:
    """Range that holds 95 of 100 counts of a group between the population's pace and ``theta`` times it.

    Parameters
    ----------
    expected
        Expected events at the population's pace.
    theta
        Normal limit of the speed ratio.

    Examples
    --------
    >>> band(0.0, 3.0), band(2.0, 3.0), band(500.0, 1.0)
    ((0, 0), (0, 11), (456, 544))
    """
    central = _FIGURES.normal_range
    return quantile((1 - central) / 2, expected), quantile((1 + central) / 2, theta * expected)


def quantile(p: float, mean: float) -> int:
    """The least count that a Poisson variable does not exceed with probability ``p``.

    Examples
    --------
    >>> [quantile(p, 2.0) for p in (0.025, 0.5, 0.975)]
    [0, 2, 5]
    """
    if mean > LARGE:
        side = math.copysign(_FIGURES.normal_deviations, p - 0.5)
        return round(mean + side * math.sqrt(mean))
    count, term = 0, math.exp(-mean)
    total = term
    while total < p:
        count += 1
        term *= mean / count
        total += term
    return count
