"""Sums of numbers given by their logarithms.

Evidence reaches e⁷⁰⁰ within hours of a large campaign, so sums of it are taken without leaving the
logarithm. -inf stands for ln 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def log_add(a: float, b: float) -> float:
    """ln(eᵃ + eᵇ).

    Examples
    --------
    >>> log_add(-math.inf, 0.5), round(log_add(700.0, 700.0), 4)
    (0.5, 700.6931)
    """
    low, high = sorted((a, b))
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def log_one_plus(a: float) -> float:
    """ln(1 + eᵃ).

    Examples
    --------
    >>> log_one_plus(-math.inf), round(log_one_plus(0.0), 4), log_one_plus(800.0)
    (0.0, 0.6931, 800.0)
    """
    return a + math.log1p(math.exp(-a)) if a > 0 else math.log1p(math.exp(a))


def log_mean_exp(values: Sequence[float]) -> float:
    """Logarithm of the mean of exponentials.

    Examples
    --------
    >>> round(log_mean_exp([1000.0, -math.inf]), 4)
    999.3069
    """
    top = max(values)
    if top == -math.inf:
        return top
    return top + math.log(sum(math.exp(value - top) for value in values) / len(values))
