r"""How rarely a group at the normal limits reaches a score.

Such a group moves at most θ₀ times as fast as everyone else, and its accounts split their traffic alike at
most θ_s times as often. About 8 % of ordinary groups are faster (`pivotwatch_models.method.population`); for
them nothing is claimed.

After :math:`t` buckets of a watch the evidence of a group at the limits satisfies
:math:`E[R_t] \le 0.8\,R_0 + t`, with the head start :math:`R_0` of a week's buckets
(`pivotwatch_models.groups.pace_detector`). By Markov's inequality at the bucket in which it first reaches
:math:`A = e^{score}`, the probability that it does so within a watch of :math:`w` buckets is at most
:math:`(0.8\,R_0 + w) / A`. With :math:`b` buckets a day that is per day of the watch at most

.. math:: \frac{b}{A} \left(1 + \frac{0.8\,R_0}{w}\right).

The alert threshold (`pivotwatch_models.groups.report_rule`) allows :math:`2b/A` for the alert budget. That is
more in every watch of 5.6 days or longer. We use the larger of both, so at the threshold the rate is at most
the budget.

The bound holds given the hazard, which is an estimate.
"""

from __future__ import annotations

import math

from pivotwatch_models.method import DECISION, STATE
from pivotwatch_models.settings import Settings

LARGEST = 10.0**15


def days_between(log_e_value: float, settings: Settings) -> float:
    """Days in which one group at the normal limits reaches a score less than once; at most 10¹⁵.

    Examples
    --------
    >>> from pivotwatch_models.groups.report_rule import report_threshold
    >>> settings = Settings()
    >>> threshold = report_threshold(settings)
    >>> round(days_between(threshold, settings)), round(days_between(threshold + math.log(10), settings))
    (100000, 1000000)
    """
    head_start = DECISION.weights.pace * STATE.pace.horizon_ms / settings.watch_ms
    allowed = 1 / (1 - DECISION.report_rule.head_start_share)
    log_days = log_e_value - math.log(max(allowed, 1 + head_start) * settings.buckets_per_day)
    return math.exp(min(log_days, math.log(LARGEST)))
